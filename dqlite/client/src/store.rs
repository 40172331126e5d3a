//! Where a client learns the addresses of a cluster.

use std::{fmt, io, path::Path, pin::Pin, sync::Arc};

use serde::Deserialize;

type Resolved = Pin<Box<dyn Future<Output = io::Result<Vec<String>>> + Send>>;

/// Addresses (`host:port`) of some servers of a cluster.
#[derive(Clone)]
pub(crate) enum Store {
    List(Vec<String>),
    Resolver(Arc<dyn Fn() -> Resolved + Send + Sync>),
}

impl Store {
    pub(crate) fn resolver<F, R>(resolve: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = io::Result<Vec<String>>> + Send + 'static,
    {
        Self::Resolver(Arc::new(move || Box::pin(resolve())))
    }

    /// Reads a node store as go-dqlite writes it.
    pub(crate) fn read(file: &Path) -> io::Result<Self> {
        let servers: Vec<Server> =
            serde_yaml::from_str(&std::fs::read_to_string(file)?).map_err(io::Error::other)?;
        Ok(Self::List(servers.into_iter().map(|s| s.address).collect()))
    }

    pub(crate) async fn addresses(&self) -> io::Result<Vec<String>> {
        match self {
            Self::List(addresses) => Ok(addresses.clone()),
            Self::Resolver(resolve) => resolve().await,
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(addresses) => addresses.fmt(f),
            Self::Resolver(_) => f.write_str("Resolver"),
        }
    }
}

/// One entry; its id and role may have changed since they were written.
#[derive(Deserialize)]
struct Server {
    #[serde(rename = "Address")]
    address: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_come_from_a_list_a_file_or_a_function() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let yaml = "- ID: 1\n  Address: a:9001\n  Role: 0\n- Address: b:9001\n  ID: 12345678901234567890\n  Role: 2\n";
        std::fs::write(&file, yaml).unwrap();
        let read = Store::read(file.path()).unwrap();
        assert_eq!(read.addresses().await.unwrap(), ["a:9001", "b:9001"]);
        let resolver = Store::resolver(async || Ok(vec!["c:9001".to_owned()]));
        assert_eq!(resolver.addresses().await.unwrap(), ["c:9001"]);
        std::fs::write(&file, "Address: a").unwrap();
        assert!(Store::read(file.path()).is_err());
    }
}

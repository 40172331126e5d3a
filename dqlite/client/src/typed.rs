//! Rows as types of one's own, by serde: structs by column name, tuples by position, one value alone.

use dqlite_wire::Value;
use serde::{
    Deserializer,
    de::{
        self, DeserializeOwned, IntoDeserializer, Visitor,
        value::{Error as Unfit, MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};

use crate::{Error, Rows};

impl Rows {
    /// Every row as a `T`: a struct takes columns by name, a tuple by position, and anything else the only column.
    ///
    /// Integers, floats, texts and truth values are serde's; a blob is bytes or a sequence of them, NULL an
    /// [`Option`], and times are what the server sends: texts, or seconds since 1970.
    ///
    /// # Errors
    /// [`Error::Row`]: a column is missing, or of another type.
    pub fn typed<T: DeserializeOwned>(&self) -> Result<Vec<T>, Error> {
        let row = |values| Row {
            columns: &self.columns,
            values,
        };
        let rows = self.rows.iter().map(|values| T::deserialize(row(values)));
        rows.collect::<Result<_, Unfit>>()
            .map_err(|e| Error::Row(e.to_string()))
    }
}

struct Row<'a> {
    columns: &'a [String],
    values: &'a [Value],
}

impl<'de> Deserializer<'de> for Row<'_> {
    type Error = Unfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self.values {
            [one] => Cell(one).deserialize_any(visitor),
            _ => self.deserialize_seq(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self.values {
            [Value::Null] => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        let names = self.columns.iter().map(String::as_str);
        visitor.visit_map(MapDeserializer::new(
            names.zip(self.values.iter().map(Cell)),
        ))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        self.deserialize_map(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self.values {
            [one] => Cell(one).deserialize_bool(visitor),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        match self.values {
            [one] => Cell(one).deserialize_enum(name, variants, visitor),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self.values {
            [blob @ Value::Blob(_)] => Cell(blob).deserialize_seq(visitor),
            values => visitor.visit_seq(SeqDeserializer::new(values.iter().map(Cell))),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Unfit> {
        // A tuple of fewer would leave columns out in silence.
        if len != self.values.len() {
            let why = format!("{} columns for a tuple of {len}", self.values.len());
            return Err(de::Error::custom(why));
        }
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        self.deserialize_tuple(len, visitor)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct identifier
        ignored_any
    }
}

/// One value of a row.
#[derive(Clone, Copy)]
struct Cell<'a>(&'a Value);

impl<'de> IntoDeserializer<'de, Unfit> for Cell<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Cell<'_> {
    type Error = Unfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self.0 {
            Value::Integer(n) | Value::UnixTime(n) => visitor.visit_i64(*n),
            Value::Float(n) => visitor.visit_f64(*n),
            Value::Text(text) | Value::Iso8601(text) => visitor.visit_str(text),
            Value::Blob(bytes) => visitor.visit_bytes(bytes),
            Value::Boolean(truth) => visitor.visit_bool(*truth),
            Value::Null => visitor.visit_unit(),
        }
    }

    /// SQLite has no truth values: where the column was not declared as one, they are 0 and 1.
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self.0 {
            Value::Integer(n @ (0 | 1)) => visitor.visit_bool(*n == 1),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self.0 {
            Value::Blob(bytes) => visitor.visit_seq(SeqDeserializer::new(bytes.iter().copied())),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        match self.0 {
            Value::Text(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            _ => Err(de::Error::custom("the name of a variant is a text")),
        }
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple
        tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    fn rows(columns: &[&str], row: Vec<Value>) -> Rows {
        let columns = columns.iter().map(|c| (*c).to_owned()).collect();
        Rows {
            columns,
            rows: vec![row],
        }
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Cat,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Pet {
        name: String,
        age: Option<u8>,
        kind: Kind,
        tame: bool,
        picture: Vec<u8>,
    }

    #[test]
    fn rows_become_structs_tuples_and_values() {
        let columns = ["tame", "name", "age", "kind", "picture", "more"];
        let row = vec![
            Value::Integer(1),
            Value::Text("Tom".into()),
            Value::Null,
            Value::Text("cat".into()),
            Value::Blob(vec![1, 2]),
            Value::Float(0.5),
        ];
        let tom = Pet {
            name: "Tom".into(),
            age: None,
            kind: Kind::Cat,
            tame: true,
            picture: vec![1, 2],
        };
        assert_eq!(rows(&columns, row).typed::<Pet>().unwrap(), [tom]);
        let two = rows(
            &["a", "a"],
            vec![Value::Integer(i64::MIN), Value::Boolean(true)],
        );
        assert_eq!(two.typed::<(i64, bool)>().unwrap(), [(i64::MIN, true)]);
        let one = rows(&["n"], vec![Value::Integer(7)]);
        assert_eq!(one.typed::<u32>().unwrap(), [7]);
        assert_eq!(one.typed::<Option<u32>>().unwrap(), [Some(7)]);
        let truth = rows(&["exists"], vec![Value::Integer(1)]);
        assert_eq!(truth.typed::<bool>().unwrap(), [true]);
        let cat = rows(&["kind"], vec![Value::Text("cat".into())]);
        assert_eq!(cat.typed::<Kind>().unwrap(), [Kind::Cat]);
        let picture = rows(&["picture"], vec![Value::Blob(vec![1, 2])]);
        assert_eq!(picture.typed::<Vec<u8>>().unwrap(), [[1, 2]]);
    }

    #[test]
    fn what_does_not_fit_says_why() {
        let why = |rows: &Rows| match rows.typed::<(u8, String)>() {
            Err(Error::Row(why)) => why,
            other => panic!("{other:?}"),
        };
        let three = rows(
            &["a", "b", "c"],
            vec![Value::Null, Value::Null, Value::Null],
        );
        assert!(why(&three).contains("3 columns"));
        let large = rows(
            &["a", "b"],
            vec![Value::Integer(256), Value::Text(String::new())],
        );
        assert!(why(&large).contains("256"));
        let missing = rows(&["name"], vec![Value::Text("Tom".into())]);
        let unfit = missing.typed::<Pet>().unwrap_err().to_string();
        assert!(unfit.contains("missing field"), "{unfit}");
    }
}

//! What this process needs, under the names that every Prometheus client uses.

use std::time::Duration;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

/// Reads `/proc` when it is asked.
#[derive(Debug)]
pub struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        // Without `/proc` there is nothing to tell.
        let Some((cpu, resident)) = read() else {
            return Ok(());
        };
        let cpu = ConstCounter::new(cpu.as_secs_f64());
        let described = encoder.encode_descriptor(
            "process_cpu",
            "Processor time of all threads",
            Some(&Unit::Seconds),
            cpu.metric_type(),
        )?;
        cpu.encode(described)?;
        let resident = ConstGauge::new(resident as f64);
        let described = encoder.encode_descriptor(
            "process_resident_memory",
            "Memory that is in use",
            Some(&Unit::Bytes),
            resident.metric_type(),
        )?;
        resident.encode(described)
    }
}

/// Processor time, and bytes of memory in use.
fn read() -> Option<(Duration, u64)> {
    let stat = procfs::process::Process::myself().ok()?.stat().ok()?;
    let seconds = (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64;
    Some((
        Duration::from_secs_f64(seconds),
        stat.rss * procfs::page_size(),
    ))
}

//! A host with plugins: a context of its own, two helpers of its own, and no trust in anybody.
//!
//! ```sh
//! cargo run --release --example plugin_host
//! ```
//!
//! The plugins are in plugin.bpf.c.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use ubpf::host::{CallCx, Fail, HelperDef, MemRead, Trap, helper};
use ubpf::{Engine, Instance, Jit, Module, RunError};

ubpf::context! {
    /// What a plugin is asked about.
    struct Request = 1 {
        client: u64,
        bytes: u64,
        method: u32,
        /// What to answer.
        status: u32 [writable],
    }
}

/// What the helpers work on: one for each instance.
#[derive(Default)]
struct Host {
    /// Virtual time, so that every run of this example is the same.
    now_ns: AtomicU64,
    log_lines: AtomicU64,
}

const NOW: HelperDef = helper!(1000 host_now, "The host's clock, in nanoseconds.");
const LOG: HelperDef = helper!(1001 host_log, "Writes a line to the host's log.");

fn host_now(cx: &mut CallCx<'_>) -> Result<u64, Trap> {
    let host: &Host = cx.host()?;
    Ok(host.now_ns.load(Ordering::Relaxed))
}

fn host_log(cx: &mut CallCx<'_>, text: MemRead) -> Result<u64, Fail> {
    let host: &Host = cx.host()?;
    let text = text.bytes(cx).map_err(|fault| cx.fault(fault))?;
    let lines = host.log_lines.fetch_add(1, Ordering::Relaxed);
    if lines < 3 {
        println!("    log: {}", String::from_utf8_lossy(&text));
    }
    Ok(lines)
}

fn main() -> Result<(), Box<dyn Error>> {
    let builder = Engine::builder()
        .prog_type(Request::DEF)
        .helper(NOW)
        .helper(LOG)
        .budget(10_000_000)
        .memory_limit(16 << 20);
    // Native code where there is any.
    let engine = match Jit::new() {
        Ok(jit) => builder.executor(Arc::new(jit)).build(),
        Err(_) => builder.build(),
    };
    let object = engine.load(include_bytes!("plugin.bpf.o"))?;
    let plugin = |name| engine.prepare_as(&object, Some(name), Some(Request::PROG_TYPE));

    println!("A plugin that limits the rate of requests:");
    let limit = engine.verify_module(&plugin("limit")?)?;
    let mut instance = engine.instantiate_with(&limit, Host::default())?;
    a_million_requests(&mut instance)?;

    println!("A plugin that reads what it should not:");
    match engine.verify_module(&plugin("snoop")?) {
        Err(rejection) => println!("    the verifier says: {rejection}"),
        Ok(_) => return Err("that should not be".into()),
    }
    run_unverified(&engine, &plugin("snoop")?)?;

    println!("A plugin that never ends:");
    run_unverified(&engine, &plugin("forever")?)?;
    Ok(())
}

/// Asks a plugin about a million requests of a hundred clients, two a microsecond.
fn a_million_requests(instance: &mut Instance) -> Result<(), Box<dyn Error>> {
    const REQUESTS: u64 = 1_000_000;
    let (mut served, mut limited, mut insns) = (0, 0, 0);
    let start = Instant::now();
    for n in 0..REQUESTS {
        let host: &Host = instance.host().ok_or("it was given one")?;
        host.now_ns.store(n * 500, Ordering::Relaxed);
        let request = Request { client: n % 100, bytes: 512, method: 1, status: 0 };
        let outcome = instance.run(&request.to_input())?;
        insns += outcome.insns;
        match Request::from_outcome(&outcome).status {
            200 => served += 1,
            _ => limited += 1,
        }
    }
    let elapsed = start.elapsed();
    let host: &Host = instance.host().ok_or("it was given one")?;
    println!(
        "    {served} served, {limited} limited, {} lines logged",
        host.log_lines.load(Ordering::Relaxed)
    );
    println!(
        "    {} a request, of which the plugin's are {} insns ({})",
        Nanos(elapsed.as_nanos() as f64 / REQUESTS as f64),
        insns / REQUESTS,
        instance.engine_name()
    );
    let buckets = instance.open_map("buckets")?;
    let (client, bucket) = buckets.iter()?.next().ok_or("clients have buckets")?;
    let number = |bytes: &[u8]| bytes.first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
    println!(
        "    {} clients have a bucket; that of client {} holds {} tokens",
        buckets.len()?,
        number(&client),
        number(&bucket)
    );
    Ok(())
}

/// Runs a plugin that nobody looked at: every access is checked, and it has a budget.
fn run_unverified(engine: &Engine, plugin: &Module) -> Result<(), Box<dyn Error>> {
    let mut instance = engine.instantiate_with(plugin, Host::default())?;
    match instance.run(&Request::default().to_input()) {
        Err(RunError::Trap(trapped)) => {
            println!("    stopped: {trapped}");
            if let Some(near) = trapped.near {
                println!("    nearest memory: {near}");
            }
            // The host is as it was, and can go on.
            Ok(())
        }
        other => Err(format!("{other:?}").into()),
    }
}

/// A duration in the unit that suits it.
struct Nanos(f64);

impl std::fmt::Display for Nanos {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 < 1000.0 {
            write!(f, "{:.0} ns", self.0)
        } else {
            write!(f, "{:.2} µs", self.0 / 1000.0)
        }
    }
}

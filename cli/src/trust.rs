//! Whether a program may run, and how far it is trusted: the verifier is asked before.

use crate::failure::Failure;
use crate::style::{ERROR, NOTE};
use crate::verify::Refusal;
use serde_json::json;
use std::io::Write;
use ubpf::{Engine, Module};

/// What helps against a refusal.
const HINT: &str = "--no-verify runs it with every access checked";

/// The module as the verifier leaves it: proved, or unverified where it uses something that is
/// not modelled. `None` when the kernel would refuse it; then that has been said.
///
/// # Errors
/// The output cannot be written.
pub fn establish(
    engine: &Engine,
    module: Module,
    file: &str,
    json: bool,
    out: &mut dyn Write,
) -> Result<Option<Module>, Failure> {
    let rejection = match engine.verify_module(&module) {
        Ok(verified) => return Ok(Some(verified)),
        Err(rejection) => rejection,
    };
    let name = &module.program().name;
    let mut messages = anstream::stderr();
    if rejection.is_unsupported() {
        let at = rejection.pc.map(|pc| format!(" (insn {pc})")).unwrap_or_default();
        let reason = &rejection.reason;
        writeln!(messages, "{NOTE}note:{NOTE:#} {name} runs checked, not verified: {reason}{at}")?;
        return Ok(Some(module));
    }
    let refusal = Refusal::of(&module, &rejection);
    if json {
        let mut error = refusal.to_json();
        if let Some(error) = error.as_object_mut() {
            error.insert("program".into(), name.as_str().into());
            error.insert("hint".into(), HINT.into());
        }
        writeln!(out, "{}", json!({ "error": error }))?;
        out.flush()?;
    }
    writeln!(messages, "{ERROR}rejected{ERROR:#}  {name}  {file}")?;
    refusal.print(&mut messages)?;
    writeln!(messages, "  {NOTE}help:{NOTE:#} {HINT}")?;
    Ok(None)
}

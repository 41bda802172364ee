//! `ubpf features`: what is emulated, from the tables that the emulation itself reads.

use crate::args::{FeaturesArgs, Format};
use crate::failure::{Exit, Failure};
use crate::style::{self, HEADING};
use crate::table::{Align, Table};
use serde::Serialize;
use std::io::Write;
use ubpf::Kernel;
use ubpf::abi::helper::HelperDecl;
use ubpf::abi::prog_type::ProgTypeDecl;
use ubpf::abi::{Version, map::MapType};
use ubpf::vm::registry::Registry;

/// Everything that exists for one kernel profile.
#[derive(Debug, Serialize)]
struct Features {
    kernel: String,
    prog_types: Vec<ProgTypeRow>,
    map_types: Vec<MapTypeRow>,
    helpers: Vec<HelperRow>,
}

#[derive(Debug, Serialize)]
struct ProgTypeRow {
    name: &'static str,
    id: u32,
    since: String,
    context: &'static str,
    doc: &'static str,
    helpers: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct MapTypeRow {
    name: &'static str,
    id: u32,
    since: String,
    doc: &'static str,
}

#[derive(Debug, Serialize)]
struct HelperRow {
    name: String,
    id: u32,
    since: String,
    gpl_only: bool,
    doc: &'static str,
    prog_types: Vec<&'static str>,
}

impl Features {
    fn of(registry: &Registry, kernel: Kernel) -> Self {
        let exists = |since: Version| kernel.has(since);
        let prog_types: Vec<&ProgTypeDecl> = registry
            .prog_types()
            .map(|def| &def.decl)
            .filter(|decl| exists(decl.prog_type.since()))
            .collect();
        let helpers: Vec<&HelperDecl> = registry
            .helpers()
            // Of the others only the description is known.
            .filter(|def| def.is_emulated())
            .map(|def| &def.decl)
            // Some are no helpers to the kernel: classic filters alone get to them.
            .filter(|decl| decl.id.name().is_some())
            .filter(|decl| exists(decl.since))
            .collect();
        Self {
            kernel: kernel.to_string(),
            prog_types: prog_types
                .iter()
                .map(|decl| ProgTypeRow {
                    name: decl.prog_type.name(),
                    id: decl.prog_type.id(),
                    since: decl.prog_type.since().to_string(),
                    context: decl.ctx.name,
                    doc: decl.doc,
                    helpers: helpers
                        .iter()
                        .filter(|helper| admits(decl, helper))
                        .map(|helper| helper.name)
                        .collect(),
                })
                .collect(),
            map_types: registry
                .map_types()
                .map(|def| &def.decl)
                .filter(|decl| exists(decl.map_type.since()))
                .map(|decl| MapTypeRow {
                    name: decl.map_type.name(),
                    id: decl.map_type as u32,
                    since: decl.map_type.since().to_string(),
                    doc: decl.doc,
                })
                .collect(),
            helpers: helpers
                .iter()
                .map(|decl| HelperRow {
                    name: format!("bpf_{}", decl.name),
                    id: decl.id.0,
                    since: decl.since.to_string(),
                    gpl_only: decl.gpl_only,
                    doc: decl.doc,
                    prog_types: prog_types
                        .iter()
                        .filter(|prog_type| admits(prog_type, decl))
                        .map(|prog_type| prog_type.prog_type.name())
                        .collect(),
                })
                .collect(),
        }
    }

    fn print(&self, out: &mut dyn Write, columns: Option<usize>) -> std::io::Result<()> {
        writeln!(out, "Linux {} as it is emulated here", self.kernel)?;
        heading(out, "program types", self.prog_types.len())?;
        let mut table = Table::new([
            ("name", Align::Left),
            ("since", Align::Right),
            ("helpers", Align::Right),
            ("", Align::Left),
        ]);
        for row in &self.prog_types {
            table.row([
                row.name.into(),
                row.since.clone(),
                row.helpers.len().to_string(),
                row.doc.into(),
            ]);
        }
        table.print(out, columns)?;
        heading(out, "map types", self.map_types.len())?;
        let mut table =
            Table::new([("name", Align::Left), ("since", Align::Right), ("", Align::Left)]);
        for row in &self.map_types {
            table.row([row.name.into(), row.since.clone(), row.doc.into()]);
        }
        table.print(out, columns)?;
        heading(out, "helpers", self.helpers.len())?;
        let mut table = Table::new([
            ("id", Align::Right),
            ("name", Align::Left),
            ("since", Align::Right),
            ("", Align::Left),
            ("", Align::Left),
        ]);
        for row in &self.helpers {
            table.row([
                row.id.to_string(),
                row.name.clone(),
                row.since.clone(),
                if row.gpl_only { "GPL" } else { "" }.into(),
                row.doc.into(),
            ]);
        }
        table.print(out, columns)
    }
}

/// Whether programs of this type may call this helper.
fn admits(prog_type: &ProgTypeDecl, helper: &HelperDecl) -> bool {
    helper.args_for(|group| prog_type.helpers.contains(group)).is_some()
}

fn heading(out: &mut dyn Write, name: &str, n: usize) -> std::io::Result<()> {
    let all = match name {
        "map types" => MapType::ALL.len(),
        "program types" => ubpf::abi::prog_type::ProgType::ALL.len(),
        _ => ubpf::abi::helper::HelperId::ALL.len(),
    };
    writeln!(out, "\n{HEADING}{name}{HEADING:#}: {n} of the kernel's {all}")
}

/// Runs the command.
///
/// # Errors
/// The output cannot be written.
pub fn run(args: &FeaturesArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    let features = Features::of(&ubpf::linux(), args.kernel);
    match args.format {
        Format::Human => features.print(out, style::columns())?,
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, &features).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
    }
    Ok(Exit::Done)
}

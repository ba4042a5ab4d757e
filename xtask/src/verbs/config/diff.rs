//! `cargo xtask config diff`: in which symbols final configurations differ.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::{Result, ensure};
use clap::Args;

use super::{open, resolve};
use crate::{
    kernel::DotConfig,
    verbs::{Selection, SessionOptions},
};

#[derive(Args, Debug)]
pub struct Diff {
    /// A profile
    pub one: String,
    /// Another profile
    pub other: String,
    #[command(flatten)]
    pub options: SessionOptions,
}

pub fn run(Diff { one, other, options }: &Diff) -> Result<()> {
    ensure!(one != other, "name two different profiles");
    let selection = Selection { profiles: vec![one.clone(), other.clone()], all: false };
    let configs = resolve(&mut open(&selection, options)?)?;
    let parse = |text: &str| DotConfig::parse(&Arc::from("kernel.config"), text);
    let (one, other) = (parse(&configs[0])?, parse(&configs[1])?);
    let symbols: BTreeSet<&str> = one.values().chain(other.values()).map(|(symbol, _)| symbol).collect();
    for symbol in symbols {
        let show = |config: &DotConfig| config.get(symbol).map_or("n".to_string(), ToString::to_string);
        let (before, after) = (show(&one), show(&other));
        if before != after {
            println!("{symbol}: {before} → {after}");
        }
    }
    Ok(())
}

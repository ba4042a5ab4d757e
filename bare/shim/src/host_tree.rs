//! What is taken from the host's device tree: which processors there are, where devices of this level's VMBus may be, and
//! on aarch64 where the interrupt controller is. The rest is the file's own to say.
//!
//! The format is OpenVMM's, which vtlforge's fdt crate writes as dialect `openhcl-host`.

use crate::{
    CPUS_MAX, Range, Ranges,
    blob::{Bad, Blob, Token, Tokens, cell, numbers},
};

/// Windows of a VMBus.
pub const WINDOWS_MAX: usize = 8;

/// The trust level that the shim is for.
const LEVEL: u32 = 2;

#[derive(Clone, Copy, Debug)]
pub struct HostTree<'a> {
    cpus: [u64; CPUS_MAX],
    cpu_count: usize,
    /// Empty where the host has no VMBus for this level.
    pub windows: Ranges<WINDOWS_MAX>,
    /// `reg` of the interrupt controller, pairs of 64 bits: distributor, then redistributors.
    pub controller: Option<&'a [u8]>,
}

impl HostTree<'_> {
    /// Of each processor, APIC id or MPIDR.
    pub fn cpus(&self) -> &[u64] {
        &self.cpus[..self.cpu_count]
    }
}

/// What is known of a node from its properties.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    pub address_cells: u32,
    pub size_cells: u32,
    pub compatible: &'a [u8],
    pub reg: &'a [u8],
    pub ranges: &'a [u8],
    pub level: Option<u32>,
}

impl Facts<'_> {
    pub fn is(&self, compatible: &str) -> bool {
        self.compatible.split(|byte| *byte == 0).any(|one| one == compatible.as_bytes())
    }
}

/// Reads the properties of the node that has just begun; the tokens stay where they are.
pub fn facts(mut tokens: Tokens) -> Result<Facts, Bad> {
    // Without the counts, two and one (2.3.5).
    let mut facts =
        Facts { address_cells: 2, size_cells: 1, compatible: &[], reg: &[], ranges: &[], level: None };
    while let Some(Token::Property { name, value, .. }) = tokens.token()? {
        match name {
            "#address-cells" => facts.address_cells = cell(value, "#address-cells")?,
            "#size-cells" => facts.size_cells = cell(value, "#size-cells")?,
            "compatible" => facts.compatible = value,
            "reg" => facts.reg = value,
            "ranges" => facts.ranges = value,
            "microsoft,vtl" => facts.level = Some(cell(value, "microsoft,vtl")?),
            _ => {}
        }
    }
    Ok(facts)
}

/// Reads a blob to its end.
pub fn read(blob: &[u8]) -> Result<HostTree<'_>, Bad> {
    let mut tokens = Blob::read(blob)?.tokens();
    let mut host =
        HostTree { cpus: [0; CPUS_MAX], cpu_count: 0, windows: Ranges::default(), controller: None };
    let mut parents =
        [Facts { address_cells: 2, size_cells: 1, compatible: &[], reg: &[], ranges: &[], level: None };
            crate::blob::DEPTH_MAX + 1];
    let mut in_cpus = false;
    while let Some(token) = tokens.token()? {
        let depth = tokens.depth();
        match token {
            Token::Begin(name) => {
                let own = facts(tokens)?;
                parents[depth] = own;
                let parent = parents[depth - 1];
                if depth == 2 {
                    in_cpus = name == "cpus";
                }
                if depth == 3 && in_cpus && is_cpu(name) {
                    host.add_cpu(&own, &parent)?;
                } else if own.is("microsoft,vmbus") && own.level.is_none_or(|level| level == LEVEL) {
                    host.add_windows(&own, &parent)?;
                } else if depth == 2 && own.is("arm,gic-v3") {
                    let is_pairs = own.reg.len() >= 32 && own.reg.len().is_multiple_of(16);
                    if (parent.address_cells, parent.size_cells) != (2, 2) || !is_pairs {
                        return Err(Bad::Value("reg"));
                    }
                    host.controller = Some(own.reg);
                }
            }
            Token::Property { .. } | Token::End => {}
        }
    }
    Ok(host)
}

pub fn is_cpu(name: &str) -> bool {
    name == "cpu" || name.starts_with("cpu@")
}

impl HostTree<'_> {
    fn add_cpu(&mut self, cpu: &Facts, parent: &Facts) -> Result<(), Bad> {
        let mut ids = numbers(cpu.reg, parent.address_cells, "reg")?;
        let (Some(id), None) = (ids.next(), ids.next()) else { return Err(Bad::Value("reg")) };
        *self.cpus.get_mut(self.cpu_count).ok_or(Bad::TooMany("processors"))? = id;
        self.cpu_count += 1;
        Ok(())
    }

    /// Each window at its own address, as a bus that isn't moved has it.
    fn add_windows(&mut self, bus: &Facts, parent: &Facts) -> Result<(), Bad> {
        const RANGES: Bad = Bad::Value("ranges");
        let cells = [bus.address_cells, parent.address_cells, bus.size_cells];
        let bytes: usize = cells.iter().map(|cells| *cells as usize * 4).sum();
        if cells.iter().any(|cells| !matches!(cells, 1 | 2)) || !bus.ranges.len().is_multiple_of(bytes) {
            return Err(RANGES);
        }
        for row in bus.ranges.chunks_exact(bytes) {
            let (child, row) = row.split_at(cells[0] as usize * 4);
            let (address, size) = row.split_at(cells[1] as usize * 4);
            let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
            let range = Range::of(number(address), number(size)).ok_or(RANGES)?;
            if number(child) != range.start || range.start == range.end {
                return Err(RANGES);
            }
            self.windows.push(range).ok_or(Bad::TooMany("windows of the VMBus"))?;
        }
        Ok(())
    }
}

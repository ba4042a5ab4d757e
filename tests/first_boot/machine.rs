//! A VTL0 image in a machine with a network, and those who log in to it.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::{
    azure::Services,
    harness::{Console, built, judge, run},
};

/// Firmware, kernel, payload and cryptography under emulation, with other machines beside them.
const PATIENCE: Duration = Duration::from_secs(900);

/// A profile and the machine that it boots in.
pub struct Kind {
    profile: &'static str,
    qemu: &'static str,
    arguments: &'static [&'static str],
    console: &'static str,
}

pub const X86_64: Kind = Kind {
    profile: "x86_64-vtl0",
    qemu: "qemu-system-x86_64",
    // Processors in turn: side by side, one may run code that another is patching, of which kernels die.
    arguments: &["-machine", "q35", "-accel", "tcg,thread=single", "-cpu", "max"],
    console: "ttyS0,115200n8",
};
pub const AARCH64: Kind = Kind {
    profile: "aarch64-vtl0",
    qemu: "qemu-system-aarch64",
    arguments: &["-machine", "virt,gic-version=3,accel=tcg", "-cpu", "cortex-a72"],
    console: "ttyAMA0",
};

/// What a machine has beside its image.
#[derive(Default)]
pub struct Options<'a> {
    pub disks: &'a [&'a Path],
    /// In optical drives.
    pub discs: &'a [&'a Path],
    pub azure: Option<&'a Services>,
    /// The profile's disk under firmware, instead of its kernel and initramfs.
    pub from_disk: bool,
}

pub struct Guest {
    console: Console,
    pub folder: PathBuf,
    port: u16,
}

impl Guest {
    pub fn start(kind: &Kind, folder: &Path, options: &Options) -> Guest {
        let out = built(kind.profile);
        let mut command = Command::new(kind.qemu);
        command.args(kind.arguments).args([
            "-m",
            "512",
            "-smp",
            "2",
            "-nodefaults",
            "-display",
            "none",
            "-no-reboot",
        ]);
        command.args(["-serial", "stdio", "-monitor", "none"]);
        match options.from_disk {
            true => command
                .args(firmware(folder))
                .arg("-device")
                .arg("virtio-blk-pci,drive=disk,bootindex=0")
                .arg("-drive")
                .arg(
                    // A snapshot: the artifact stays as it is.
                    format!("if=none,id=disk,format=raw,snapshot=on,file={}", out.join("disk.raw").display()),
                ),
            false => command
                .arg("-kernel")
                .arg(out.join("kernel"))
                .arg("-initrd")
                .arg(out.join("initramfs.cpio.zst"))
                .args(["-append", &format!("console={} panic=-1 printk.devkmsg=on", kind.console)]),
        };
        for (number, disk) in options.disks.iter().enumerate() {
            command.arg("-drive").arg(format!("if=none,id=disk{number},format=raw,file={}", disk.display()));
            command.arg("-device").arg(format!("virtio-blk-pci,drive=disk{number}"));
        }
        command.args(["-device", "virtio-scsi-pci"]);
        for (number, disc) in options.discs.iter().enumerate() {
            command
                .arg("-drive")
                .arg(format!("if=none,id=disc{number},format=raw,readonly=on,file={}", disc.display()));
            command.arg("-device").arg(format!("scsi-cd,drive=disc{number}"));
        }
        // A port that is free now; ssh would notice if somebody else got it meanwhile.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut network = format!("user,id=net,hostfwd=tcp:127.0.0.1:{port}-:22");
        if let Some(services) = options.azure {
            network += &services.network();
            command.args(["-smbios", &format!("type=3,asset={}", super::azure::CHASSIS)]);
        }
        command.args(["-netdev", &network, "-device", "virtio-net-pci,netdev=net"]);
        let console = Console::start(command.stdin(Stdio::null()));
        Guest { console, folder: folder.to_path_buf(), port }
    }

    pub fn wait_for(&mut self, wanted: &str) -> String {
        self.console.wait_for(wanted, Instant::now() + PATIENCE)
    }

    /// What the machine says of its provisioning.
    pub fn provisioned(&mut self) -> serde_json::Value {
        let console = self.wait_for("provisioned {");
        let line = console.lines().last().unwrap_or_default();
        let (_, json) = line.split_once("provisioned ").unwrap();
        serde_json::from_str(json.trim()).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// What a command says on standard output; as an error, all that ssh said instead.
    pub fn ssh(&self, key: &Key, user: &str, command: &str) -> Result<String, String> {
        let known = format!("UserKnownHostsFile={}", self.known_hosts().display());
        let options = [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=accept-new",
            "ConnectTimeout=300",
            &known,
        ];
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "none", "-i"]).arg(&key.path).args(["-p", &self.port.to_string()]);
        ssh.args(options.iter().flat_map(|option| ["-o", option]))
            .arg(format!("{user}@127.0.0.1"))
            .arg(command);
        let said = run(&mut ssh);
        match said.status {
            0 => Ok(said.stdout),
            _ => Err(said.stdout + &said.stderr),
        }
    }

    /// Fingerprint of the key that the server showed.
    pub fn host_key(&self) -> String {
        let shown = judge("ssh-keygen", &["-l", "-f", &self.known_hosts().to_string_lossy()]);
        shown.split(' ').nth(1).unwrap_or_else(|| panic!("{shown}")).to_owned()
    }

    /// Of this machine alone: another one on the same port is another one.
    fn known_hosts(&self) -> PathBuf {
        self.folder.join(format!("known-hosts-{}", self.port))
    }
}

/// A key of somebody who logs in.
pub struct Key {
    path: PathBuf,
    /// As authorized_keys has it.
    pub public: String,
}

impl Key {
    pub fn new(path: &Path) -> Key {
        judge(
            "ssh-keygen",
            &["-q", "-t", "ed25519", "-N", "", "-C", "somebody", "-f", &path.to_string_lossy()],
        );
        let public = fs::read_to_string(path.with_extension("pub")).unwrap().trim().to_owned();
        Key { path: path.to_path_buf(), public }
    }
}

/// A seed as mtools makes it: a floppy's FAT12.
pub fn vfat(folder: &Path, label: &str, files: &[(&str, &str)]) -> PathBuf {
    let image = folder.join("seed.img");
    let _ = fs::remove_file(&image);
    let path = image.to_string_lossy();
    judge("mformat", &["-C", "-f", "1440", "-v", label, "-i", &path, "::"]);
    for (name, text) in files {
        fs::write(folder.join(name), text).unwrap();
        judge("mcopy", &["-i", &path, &folder.join(name).to_string_lossy(), "::"]);
    }
    image
}

/// A disc as cloud-init's documentation makes it.
pub fn iso(folder: &Path, label: &str, more: &[&str], files: &[(&str, &str)]) -> PathBuf {
    let image = folder.join("seed.iso");
    let mut command = Command::new("genisoimage");
    command.args(["-quiet", "-volid", label, "-joliet", "-rock"]).args(more).arg("-output").arg(&image);
    for (name, text) in files {
        fs::write(folder.join(name), text).unwrap();
        command.arg(folder.join(name));
    }
    run(&mut command).expect("genisoimage");
    image
}

/// OVMF, as distributions place it.
fn firmware(folder: &Path) -> Vec<String> {
    let find = |places: &[&str]| {
        let found = places.iter().map(PathBuf::from).find(|path| path.exists());
        found
            .unwrap_or_else(|| panic!("none of {places:?} is here; `cargo xtask doctor --install` brings it"))
    };
    let code = [
        "/usr/share/OVMF/OVMF_CODE_4M.fd",
        "/usr/share/edk2/ovmf/OVMF_CODE.fd",
        "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
    ];
    let vars = [
        "/usr/share/OVMF/OVMF_VARS_4M.fd",
        "/usr/share/edk2/ovmf/OVMF_VARS.fd",
        "/usr/share/edk2/x64/OVMF_VARS.4m.fd",
    ];
    let own = folder.join("vars.fd");
    fs::copy(find(&vars), &own).unwrap();
    let flash = |unit: u8, more: &str, file: &Path| {
        format!("if=pflash,unit={unit},format=raw{more},file={}", file.display())
    };
    vec!["-drive".into(), flash(0, ",readonly=on", &find(&code)), "-drive".into(), flash(1, "", &own)]
}

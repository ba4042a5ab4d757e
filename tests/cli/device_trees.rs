//! `fdt show`, `check` and `diff`.

use expect_test::expect;

use crate::{Case, Edit, check};

/// A paravisor with a machine of its own.
const MACHINE: Edit = Edit::Write(
    "profiles/tree.yaml",
    "\
description: A device tree of the tests.
inherit: [common, x86_64, vtl2]
kernel:
  fragments: [vtl2-x86_64]
  command-line: [noxsave]
device-tree:
  memory-ranges:
    - {base: 0x0, size: 64MiB, comment: all there is}
  memreserve: [{base: 0x100000, size: 4KiB, comment: kept for the loader}]
  cpu-list: [{id: 0x0}]
",
);

/// What its host's tree might be, written by hand and wrong.
const SOURCE: Edit = Edit::Write(
    "host.dts",
    "\
/dts-v1/;
/ {
	compatible = \"somebody,s\";
	#address-cells = <2>;
	#size-cells = <2>;
	cpus { #address-cells = <1>; #size-cells = <0>; cpu@0 { device_type = \"cpu\"; reg = <0>; }; };
	memory@0 { device_type = \"memory\"; reg = <0 0 0 0x4000000>; };
	vmbus@3fff000 {
		compatible = \"microsoft,vmbus\";
		#address-cells = <2>;
		#size-cells = <2>;
		ranges = <0 0x3fff000 0 0x3fff000 0 0x2000>;
		microsoft,vtl = <2>;
	};
};
",
);

#[test]
fn shows() {
    check([
        Case {
            name: "source",
            arguments: &["fdt", "show", "tree"],
            edits: &[MACHINE],
            expected: expect![[r#"
            status 0
            --- stdout
            /dts-v1/;

            /* kept for the loader */
            /memreserve/ 0x100000 0x1000;

            / {
            	compatible = "microsoft,hyperv";
            	model = "Microsoft Hyper-V VTL2";
            	#address-cells = <2>;
            	#size-cells = <2>;

            	cpus {
            		#address-cells = <1>;
            		#size-cells = <0>;

            		cpu@0 {
            			device_type = "cpu";
            			reg = <0x0>;
            		};
            	};

            	/* all there is */
            	memory@0 {
            		device_type = "memory";
            		reg = <0x0 0x0 0x0 0x4000000>;
            	};

            	intc: interrupt-controller@fee00000 {
            		reg = <0x0 0xfee00000 0x0 0x1000>;
            		interrupt-controller;
            		#address-cells = <0>;
            		#interrupt-cells = <2>;
            		status = "reserved";
            		phandle = <0x1>;
            	};

            	bus {
            		compatible = "simple-bus";
            		#address-cells = <2>;
            		#size-cells = <2>;
            		ranges;

            		vmbus@ff0000000 {
            			compatible = "microsoft,vmbus";
            			#address-cells = <2>;
            			#size-cells = <1>;
            			ranges = <0xf 0xf0000000 0xf 0xf0000000 0x10000000>;
            			dma-coherent;
            			interrupt-parent = <&intc>;
            			interrupts = <0xf3 1>;
            		};
            	};
            };
        "#]],
        },
        Case {
            name: "map",
            arguments: &["fdt", "show", "tree", "--map"],
            edits: &[MACHINE],
            expected: expect![[r#"
                status 0
                --- stdout
                               0          3ffffff     64 MiB  █ RAM          /memory@0
                          100000           100fff      4 KiB  █ └ reserved   /memreserve/
                         4000000         fedfffff    3.9 GiB  ·
                        fee00000         fee00fff      4 KiB  ▒ device       /interrupt-controller@fee00000
                        fee01000        fefffffff   59.7 GiB  ·
                       ff0000000        fffffffff    256 MiB  ▒ device       /bus/vmbus@ff0000000 (microsoft,vmbus)
            "#]],
        },
        Case {
            name: "map as JSON",
            arguments: &["fdt", "show", "tree", "--map", "--format", "json"],
            edits: &[MACHINE],
            expected: expect![[r#"
                status 0
                --- stdout
                [
                  {
                    "base": "0x0",
                    "size": "0x4000000",
                    "use": "ram",
                    "path": "/memory@0",
                    "compatible": null,
                    "numa-node": null
                  },
                  {
                    "base": "0x100000",
                    "size": "0x1000",
                    "use": "reserved",
                    "path": "/memreserve/",
                    "compatible": null,
                    "numa-node": null
                  },
                  {
                    "base": "0xfee00000",
                    "size": "0x1000",
                    "use": "device",
                    "path": "/interrupt-controller@fee00000",
                    "compatible": null,
                    "numa-node": null
                  },
                  {
                    "base": "0xff0000000",
                    "size": "0x10000000",
                    "use": "device",
                    "path": "/bus/vmbus@ff0000000",
                    "compatible": "microsoft,vmbus",
                    "numa-node": null
                  }
                ]
            "#]],
        },
        Case {
            name: "map of a source file",
            arguments: &["fdt", "show", "host.dts", "--map"],
            edits: &[SOURCE],
            expected: expect![[r#"
                status 0
                --- stdout
                               0          3ffffff     64 MiB  █ RAM          /memory@0
                         3fff000          4000fff      8 KiB  ▒ device       /vmbus@3fff000 (microsoft,vmbus)
            "#]],
        },
        Case {
            name: "a profile without",
            arguments: &["fdt", "show", "mine"],
            edits: &[],
            expected: expect![[r#"
                status 1
                --- stderr
                error: the profile mine has no device tree: its machine describes itself by ACPI tables
            "#]],
        },
        Case {
            name: "no such file",
            arguments: &["fdt", "show", "nowhere.dtb"],
            edits: &[],
            expected: expect![[r#"
                status 1
                --- stderr
                error: can't read nowhere.dtb: No such file or directory (os error 2)
            "#]],
        },
        Case {
            name: "a blob that is none",
            arguments: &["fdt", "show", "noise.dtb"],
            edits: &[Edit::Write("noise.dtb", "d00dfeed")],
            expected: expect![[r#"
                status 1
                --- stderr
                error: can't read noise.dtb: byte 0x0: no device tree blob: it begins with d00dfeed
            "#]],
        },
    ]);
}

#[test]
fn checks() {
    check([
        Case {
            name: "a profile",
            arguments: &["fdt", "check", "tree"],
            edits: &[MACHINE],
            expected: expect![[r#"
                status 0
                --- stderr
                tree: nothing wrong, for VTL2 of x86_64, mainline
            "#]],
        },
        Case {
            name: "a profile in another dialect than its own is made in it",
            arguments: &["fdt", "check", "tree", "--dialect", "openhcl"],
            edits: &[MACHINE],
            expected: expect![[r#"
                status 0
                --- stderr
                tree: nothing wrong, for VTL2 of x86_64, openhcl
            "#]],
        },
        Case {
            name: "a source file",
            arguments: &["fdt", "check", "host.dts"],
            edits: &[SOURCE],
            expected: expect![[r#"
                status 1
                --- stdout
                /vmbus@3fff000: MMIO 0x3fff000..0x4001000 overlaps RAM 0x0..0x4000000 of /memory@0
                /vmbus@3fff000: the node above is no simple-bus
                  drivers/of/platform.c makes devices of a simple-bus' children; elsewhere none comes to be
                /vmbus@3fff000: #address-cells is 2 and #size-cells 2; mainline wants 2 and 1
                  bus/microsoft,vmbus.yaml for Linux as released, host_fdt_parser for OpenHCL
                /vmbus@3fff000: microsoft,vtl is not allowed
                  bus/microsoft,vmbus.yaml: additionalProperties: false
                --- stderr
                host.dts: 4 problems, for VTL2 of x86_64, mainline
            "#]],
        },
        Case {
            name: "for OpenHCL",
            arguments: &["fdt", "check", "host.dts", "--dialect", "openhcl", "--format", "json"],
            edits: &[SOURCE],
            expected: expect![[r#"
                status 1
                --- stdout
                [
                  {
                    "path": "/vmbus@3fff000",
                    "property": null,
                    "message": "MMIO 0x3fff000..0x4001000 overlaps RAM 0x0..0x4000000 of /memory@0",
                    "why": null
                  },
                  {
                    "path": "/vmbus@3fff000",
                    "property": null,
                    "message": "the node above is no simple-bus",
                    "why": "drivers/of/platform.c makes devices of a simple-bus' children; elsewhere none comes to be"
                  },
                  {
                    "path": "/vmbus@3fff000",
                    "property": null,
                    "message": "microsoft,message-connection-id is missing",
                    "why": "host_fdt_parser of OpenHCL requires it"
                  }
                ]
            "#]],
        },
        Case {
            name: "a trust level that no kernel is for",
            arguments: &["fdt", "check", "tree", "--vtl", "1"],
            edits: &[MACHINE],
            expected: expect![[r#"
                status 1
                --- stderr
                error: no kernel is built for VTL1: say 0 or 2
            "#]],
        },
    ]);
}

#[test]
fn compares() {
    check([
        Case {
            name: "with itself",
            arguments: &["fdt", "diff", "tree", "tree"],
            edits: &[MACHINE],
            expected: expect![[r#"
                status 0
            "#]],
        },
        Case {
            name: "with another",
            arguments: &["fdt", "diff", "tree", "host.dts"],
            edits: &[MACHINE, SOURCE],
            expected: expect![[r#"
                status 1
                --- stdout
                - /: /memreserve/ = 0x100000 0x1000;
                - /: compatible = "microsoft,hyperv";
                + /: compatible = "somebody,s";
                - /: model = "Microsoft Hyper-V VTL2";
                - /bus
                - /interrupt-controller@fee00000
                + /vmbus@3fff000
            "#]],
        },
        Case {
            name: "as JSON",
            arguments: &["fdt", "diff", "host.dts", "other.dts", "--format", "json"],
            edits: &[
                SOURCE,
                Edit::Write(
                    "other.dts",
                    "/dts-v1/;\n/ { compatible = \"somebody,s\"; #address-cells = <2>; #size-cells = <1>; };\n",
                ),
            ],
            expected: expect![[r##"
                status 1
                --- stdout
                [
                  {
                    "path": "/",
                    "property": "#size-cells",
                    "left": "<2>",
                    "right": "<1>"
                  },
                  {
                    "path": "/cpus",
                    "property": null,
                    "left": "",
                    "right": null
                  },
                  {
                    "path": "/memory@0",
                    "property": null,
                    "left": "",
                    "right": null
                  },
                  {
                    "path": "/vmbus@3fff000",
                    "property": null,
                    "left": "",
                    "right": null
                  }
                ]
            "##]],
        },
    ]);
}

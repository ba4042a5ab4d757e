#!/bin/sh
# Runs a disk under QEMU. Written by `cargo xtask provision qemu`; write it anew rather than change it.
# It needs disk.raw beside it, and nothing else of the build: the two may be moved together.
set -eu

profile={{profile}}
arch={{arch}}
qemu='{{qemu}}'
network={{network}}
accelerates={{accelerates}}
ssh_port={{ssh-port}}
# The exit status by which the machine says that it has ended.
ended={{ended}}

usage() {
    cat <<'END'
{{usage}}
END
}

fail() {
    printf '%s: %s\n' "$profile" "$1" >&2
    shift
    for hint; do printf '  hint: %s\n' "$hint" >&2; done
    exit 1
}

misused() {
    printf '%s: %s; --help lists the options\n' "${0##*/}" "$1" >&2
    exit 2
}

accel=auto is_persistent=no is_fresh=no logs='' seed='' code='' variables=''
while [ $# -gt 0 ]; do
    option=$1
    shift
    case $option in
        --persistent) is_persistent=yes ;;
        --fresh) is_fresh=yes ;;
        --accel | --ssh-port | --seed | --logs)
            [ $# -ge 1 ] || misused "$option needs a value"
            case $option in
                --accel) accel=$1 ;;
                --ssh-port) ssh_port=$1 ;;
                --seed) seed=$1 ;;
                --logs) logs=$1 ;;
            esac
            shift
            ;;
        --firmware)
            [ $# -ge 2 ] || misused '--firmware needs two files, CODE and VARIABLES'
            code=$1 variables=$2
            shift 2
            ;;
        -h | --help)
            usage
            exit 0
            ;;
        --) break ;;
        *) misused "there is no option $option" ;;
    esac
done
case $accel in auto | kvm | tcg) ;; *) misused "--accel is auto, kvm or tcg, and not $accel" ;; esac
case $ssh_port in
    none) ;;
    '' | 0* | *[!0-9]* | ??????*) misused "--ssh-port is none or a number from 1 to 65535, and not $ssh_port" ;;
    *) [ "$ssh_port" -le 65535 ] || misused "there is no port $ssh_port" ;;
esac
[ "$is_fresh" = no ] || [ "$is_persistent" = yes ] || misused '--fresh is about what --persistent keeps'

# Absolute, of a file that is there.
path_of() {
    folder=$(CDPATH='' cd -- "$(dirname -- "$1")" && pwd -P) || exit 1
    printf '%s/%s\n' "${folder%/}" "${1##*/}"
}

here=$(path_of "$0")
here=${here%/*}
disk=$here/disk.raw
[ -f "$disk" ] || fail "there is no disk.raw beside this script, in $here" \
    "cargo xtask provision qemu $profile writes both"
command -v "$qemu" >/dev/null || fail "$qemu is not installed" {{qemu-hint}}

# The first pair of code and variables that is there.
firmware() {
    if [ -z "$code" ] && [ -f "$1" ] && [ -f "$2" ]; then
        code=$1 variables=$2
    fi
}
{{firmware}}
[ -n "$code" ] || fail "there is no UEFI firmware for $arch where distributions put it" \
    {{firmware-hint}} \
    'or name it: --firmware CODE VARIABLES'
for file in "$code" "$variables" ${seed:+"$seed"}; do
    [ -f "$file" ] || fail "there is no file $file"
done
code=$(path_of "$code")
if [ -n "$logs" ]; then
    mkdir -p -- "$logs"
    logs=$(CDPATH='' cd -- "$logs" && pwd -P)
fi
variables=$(path_of "$variables")
[ -z "$seed" ] || seed=$(path_of "$seed")

kvm_works() {
    [ "$(uname -m)" = "$arch" ] && [ -r /dev/kvm ] && [ -w /dev/kvm ] || return 1
    # Without either, a device of that name is some other thing.
    [ "$arch" != x86_64 ] || grep -Eq '^flags.* (vmx|svm)( |$)' /proc/cpuinfo || return 1
    echo quit | "$qemu" -machine none -accel kvm -nodefaults -display none -monitor stdio >/dev/null 2>&1
}
if [ "$accelerates" = no ]; then
    [ "$accel" != kvm ] || fail "it can't run on KVM: the monitor below it takes the place of a hypervisor" \
        'leave out --accel'
    accel=tcg
elif [ "$accel" = auto ]; then
    if kvm_works; then accel=kvm; else accel=tcg; fi
fi

# The machine's own folder. Everything in it has the same name everywhere, so no path goes through QEMU's options.
if [ "$is_persistent" = yes ]; then
    command -v qemu-img >/dev/null || fail 'qemu-img is not installed' {{qemu-img-hint}}
    work=$here/machine
    [ "$is_fresh" = no ] || rm -rf -- "$work"
    mkdir -p -- "$work"
    cd -- "$work"
    ln -sf ../disk.raw disk.raw
    digest=$(sha256sum <disk.raw)
    if [ ! -f made-over ]; then
        rm -f disk.qcow2
        qemu-img create -q -f qcow2 -b disk.raw -F raw disk.qcow2
        cat <"$variables" >variables.fd
        # Last: from now on the folder is whole.
        printf '%s\n' "$digest" >made-over
    elif [ "$(cat made-over)" != "$digest" ]; then
        fail "what $work keeps was written over another disk.raw" '--fresh forgets it'
    fi
else
    # Until QEMU runs, a signal is heeded between two commands, and the folder goes too.
    work=''
    trap '[ -z "$work" ] || rm -rf -- "$work"' EXIT
    trap 'exit 143' HUP INT TERM
    # QEMU keeps what the machine writes in it: not in /tmp, which may be memory.
    work=$(path_of "$(mktemp -d "${TMPDIR:-/var/tmp}/vtlforge.XXXXXX")")
    TMPDIR=$work
    export TMPDIR
    cd -- "$work"
    ln -s "$disk" disk.raw
    cat <"$variables" >variables.fd
fi
ln -sf "$code" code.fd
rm -f console.log report.jsonl
if [ -n "$logs" ]; then
    rm -f "$logs/console.log" "$logs/report.jsonl"
    ln -s "$logs/console.log" console.log
    ln -s "$logs/report.jsonl" report.jsonl
fi

# Behind what was given after `--`.
set -- "$@" {{machine}}
case $accel in
{{boards}}
esac
case $code in
{{flash}}
esac
case $is_persistent in
{{disks}}
esac
if [ -n "$seed" ]; then
    ln -sf "$seed" seed.img
    set -- "$@" {{seed}}
fi
said="Ctrl-A X ends it"
if [ "$network" = yes ]; then
    forward=''
    if [ "$ssh_port" != none ]; then
        forward=,hostfwd=tcp:127.0.0.1:$ssh_port-:22
        said="port $ssh_port of this machine is its ssh port; $said"
    fi
    set -- "$@" -netdev "user,id=network$forward" -device virtio-net-pci,netdev=network,romfile=
else
    set -- "$@" -net none
fi

printf '%s under QEMU (%s). %s.\n' "$profile" "$accel" "$said" >&2

# A child, so that the folder goes when it ends; in the background, so that whoever ends this script ends it.
# The trap is there before the child is, or a signal that came in between would leave it running.
machine='' is_ended=no
end() {
    is_ended=yes
    [ -z "$machine" ] || kill "$machine" 2>/dev/null || :
}
trap end HUP INT TERM
exec 3<&0
"$qemu" "$@" <&3 &
machine=$!
[ "$is_ended" = no ] || end
while :; do
    status=0
    wait "$machine" || status=$?
    kill -0 "$machine" 2>/dev/null || break
done
[ "$status" -ne "$ended" ] || status=0
exit "$status"

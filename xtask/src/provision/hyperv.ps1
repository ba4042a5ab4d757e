#Requires -Version 5.1
<#
.SYNOPSIS
Makes a Hyper-V machine with {{subject}}.

.DESCRIPTION
Written by `cargo xtask provision hyperv`; write it anew rather than change it. Run it as administrator, in the folder
that has the files beside it. It may be run again: what is as it should be stays so. README.md says more.

.PARAMETER Name
The machine's name.

.PARAMETER MemoryBytes
The machine's memory, all levels together.

.PARAMETER Processors
How many processors it has.

.PARAMETER SwitchName
The virtual switch that its network adapter is connected to; without it the machine has no adapter.

.PARAMETER Vtl2RangeMiB
Where the host is to choose VTL2's place in memory: how much. 0 leaves that to the IGVM file, which is right for files
that name fixed addresses.

.PARAMETER Vtl2MmioMiB
How much of that range is for devices.

.PARAMETER ReplaceDisk
Make the machine's disk anew. What the guest wrote to it is lost.

.PARAMETER Start
Start the machine.

.PARAMETER Console
Show what comes from the machine's serial port, until it is switched off or Ctrl-C.

.PARAMETER Remove
Remove the machine and everything that this script has made for it.

.EXAMPLE
.\{{script}} -WhatIf

.EXAMPLE
.\{{script}} -Start -Console

.EXAMPLE
.\{{script}} -Remove
#>
[CmdletBinding(SupportsShouldProcess = $true, ConfirmImpact = 'Medium', DefaultParameterSetName = 'Make')]
param(
    [ValidateLength(1, 100)]
    [string] $Name = {{name}},

    [Parameter(ParameterSetName = 'Make')]
    [ValidateRange(67108864, 17592186044416)]
    [long] $MemoryBytes = {{memory}},

    [Parameter(ParameterSetName = 'Make')]
    [ValidateRange(1, 2048)]
    [int] $Processors = {{processors}},

    [Parameter(ParameterSetName = 'Make')]
    [string] $SwitchName,

    [Parameter(ParameterSetName = 'Make')]
    [ValidateRange(0, 1048576)]
    [int] $Vtl2RangeMiB = 0,

    [Parameter(ParameterSetName = 'Make')]
    [ValidateRange(0, 1048576)]
    [int] $Vtl2MmioMiB = 0,

    [Parameter(ParameterSetName = 'Make')]
    [switch] $ReplaceDisk,

    [Parameter(ParameterSetName = 'Make')]
    [switch] $Start,

    [Parameter(ParameterSetName = 'Make')]
    [switch] $Console,

    [Parameter(ParameterSetName = 'Remove', Mandatory = $true)]
    [switch] $Remove
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

# What this script is for: files beside it, by their digests.
$Igvm = @{ File = {{igvm}}; Sha256 = {{igvm-sha256}} }
$Disk = @{ File = {{disk}}; Sha256 = {{disk-sha256}} }
$Architecture = {{architecture}}
# The serial port, counted from 1, that is VTL2's console.
$ConsolePort = {{console-port}}

# The first Windows that has -GuestStateIsolationType OpenHCL (Windows 11 24H2), and the first version of machines.
$LeastBuild = 26100
$LeastVersion = [version] '12.0'
$Virtualization = 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Virtualization'
$AllowFirmware = 'AllowFirmwareLoadFromFile'
$Namespace = 'root\virtualization\v2'
# How machines of this script are known: Windows doesn't tell afterwards with which isolation type one was made.
$Mark = 'made by vtlforge:'

function Test-Own($Machine) {
    return "$($Machine.Notes)".StartsWith($Mark)
}

function Get-OwnMachine {
    # Not -Name, which would take * and [ for wildcards.
    $found = @(Get-VM | Where-Object { $_.Name -eq $Name })
    if ($found.Count -gt 1) {
        throw "There are $($found.Count) machines named '$Name'. Rename all but one, or choose another -Name."
    }
    if ($found.Count -eq 0) { return $null }
    if (-not (Test-Own $found[0])) {
        throw "There is a machine named '$Name' that this script has not made. Choose another -Name."
    }
    return $found[0]
}

# What the machine was made from: the words behind the mark, as a table.
function Get-Record($Machine) {
    $record = @{ igvm = ''; disk = ''; registry = 'kept' }
    foreach ($word in $Machine.Notes.Substring($Mark.Length).Trim() -split '\s+') {
        $key, $value = $word -split '=', 2
        $record[$key] = $value
    }
    return $record
}

function Write-Record($Machine, $Record) {
    $words = foreach ($key in 'igvm', 'disk', 'registry') { "$key=$($Record[$key])" }
    Set-VM -VM $Machine -Notes "$Mark $($words -join ' ')"
}

function Get-FirmwareAllowed {
    $values = Get-ItemProperty -LiteralPath $Virtualization -ErrorAction SilentlyContinue
    return $null -ne $values -and $values.PSObject.Properties.Name -contains $AllowFirmware -and
        $values.$AllowFirmware -eq 1
}

# What stands in the way of any use of Hyper-V, each with what to do.
function Get-HostObstacle {
    $who = New-Object Security.Principal.WindowsPrincipal ([Security.Principal.WindowsIdentity]::GetCurrent())
    if (-not $who.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) {
        'Not run as administrator: open PowerShell with "Run as administrator".'
    }
    $service = Get-Service -Name vmms -ErrorAction SilentlyContinue
    if ($null -eq $service -or $null -eq (Get-Command -Name New-VM -ErrorAction SilentlyContinue)) {
        'Hyper-V or its PowerShell module is not installed. Windows 11: Enable-WindowsOptionalFeature -Online -FeatureName Microsoft-Hyper-V -All. ' +
            'Windows Server: Install-WindowsFeature -Name Hyper-V -IncludeManagementTools. Then restart.'
    } elseif ($service.Status -ne 'Running') {
        'Hyper-V''s service does not run: Start-Service vmms; if that fails, restart Windows.'
    }
}

# Whether an enumeration has a value; of another type nothing is known, and New-VM itself has the word.
function Test-Value($Type, $Value) {
    $inner = [Nullable]::GetUnderlyingType($Type)
    if ($null -ne $inner) { $Type = $inner }
    return -not $Type.IsEnum -or [Enum]::GetNames($Type) -contains $Value
}

# What stands in the way of this machine, where Hyper-V is there.
function Get-Obstacle {
    $windows = Get-ItemProperty -LiteralPath 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion'
    if ([int] $windows.CurrentBuildNumber -lt $LeastBuild) {
        "Windows is build $($windows.CurrentBuildNumber), and $LeastBuild or later is needed (Windows 11 24H2, Windows Server 2025)."
    }
    if ($env:PROCESSOR_ARCHITECTURE -ne $Architecture) {
        "The files are for $Architecture, and this is $($env:PROCESSOR_ARCHITECTURE)."
    }
    $isolation = (Get-Command -Name New-VM).Parameters['GuestStateIsolationType']
    if ($null -eq $isolation -or -not (Test-Value $isolation.ParameterType 'OpenHCL')) {
        'New-VM of this Windows has no -GuestStateIsolationType OpenHCL: update Windows.'
    }
    # 254 and 255 are what Windows calls its versions for trying things out.
    $versions = @(Get-VMHostSupportedVersion | ForEach-Object { [version] "$($_.Version)" })
    if (@($versions | Where-Object { $_ -ge $LeastVersion -and $_.Major -lt 254 }).Count -eq 0) {
        "This Hyper-V makes no machines of version $LeastVersion or later: update Windows."
    }
    if ($SwitchName -and @(Get-VMSwitch | Where-Object { $_.Name -eq $SwitchName }).Count -ne 1) {
        "There is no virtual switch '$SwitchName': Get-VMSwitch lists them."
    }
    foreach ($file in $Igvm, $Disk) {
        if (-not $file.File) { continue }
        $path = Join-Path $PSScriptRoot $file.File
        if (-not (Test-Path -LiteralPath $path -PathType Leaf)) {
            "There is no file $path."
        } elseif ((Get-FileHash -LiteralPath $path -Algorithm SHA256).Hash -ne $file.Sha256) {
            "$path is not the file that this script was written for: its SHA-256 is not $($file.Sha256)."
        }
    }
}

# Hyper-V's own changes of settings answer at once, or with a job (CIM_ConcreteJob: 7 is success, less is under way).
function Complete-Change($Answer, $What) {
    if ($Answer.ReturnValue -eq 0) { return }
    if ($Answer.ReturnValue -ne 4096) { throw "$What failed: Hyper-V answered $($Answer.ReturnValue)." }
    $job = $Answer.Job | Get-CimInstance
    while ($job.JobState -lt 7) {
        Start-Sleep -Milliseconds 200
        $job = $job | Get-CimInstance
    }
    if ($job.JobState -ne 7) { throw "$What failed: $($job.ErrorDescription)" }
}

function ConvertTo-Embedded($Instance) {
    $serializer = [Microsoft.Management.Infrastructure.Serialization.CimSerializer]::Create()
    $none = [Microsoft.Management.Infrastructure.Serialization.InstanceSerializationOptions]::None
    return [Text.Encoding]::Unicode.GetString($serializer.Serialize($Instance, $none))
}

function Get-Setting($Machine) {
    $query = "SELECT * FROM Msvm_VirtualSystemSettingData WHERE ConfigurationID='$($Machine.Id)' " +
        "AND VirtualSystemType='Microsoft:Hyper-V:System:Realized'"
    return Get-CimInstance -Namespace $Namespace -Query $query
}

function Get-Management {
    return Get-CimInstance -Namespace $Namespace -ClassName Msvm_VirtualSystemManagementService
}

# VTL2's file: what no cmdlet sets. Without the isolation type it would be taken, and ignored.
function Use-Firmware($Machine, $Path) {
    $setting = Get-Setting $Machine
    $setting.GuestFeatureSet = [uint32] 0x201
    $setting.FirmwareFile = $Path
    if ($Vtl2RangeMiB -gt 0) {
        $setting.Vtl2AddressSpaceConfigurationMode = 1
        $setting.Vtl2AddressRangeSize = $Vtl2RangeMiB
        $setting.Vtl2MmioAddressRangeSize = $Vtl2MmioMiB
    }
    $arguments = @{ SystemSettings = ConvertTo-Embedded $setting }
    $answer = Get-Management | Invoke-CimMethod -MethodName ModifySystemSettings -Arguments $arguments
    Complete-Change $answer 'Naming the IGVM file'
}

function Get-PipeName {
    return "$($Name -replace '[\\/]', '-')-console"
}

function Connect-Console($Machine) {
    $pipe = "\\.\pipe\$(Get-PipeName)"
    if ($ConsolePort -le 2) {
        Set-VMComPort -VM $Machine -Number $ConsolePort -Path $pipe
        return
    }
    $ports = @(Get-Setting $Machine | Get-CimAssociatedInstance -ResultClassName Msvm_SerialPortSettingData)
    if ($ports.Count -lt $ConsolePort) {
        Write-Warning "The console is COM$ConsolePort, and machines of this Windows have $($ports.Count) serial ports: nothing will be seen of it."
        return
    }
    $port = $ports[$ConsolePort - 1]
    $port.Connection = @($pipe)
    $arguments = @{ ResourceSettings = @(ConvertTo-Embedded $port) }
    $answer = Get-Management | Invoke-CimMethod -MethodName ModifyResourceSettings -Arguments $arguments
    Complete-Change $answer 'Connecting the console'
}

# The machine's own files: named by its identifier, since its name may hold what no path can.
function Get-Place($Machine) {
    return Join-Path (Get-VMHost).VirtualHardDiskPath "vtlforge-$($Machine.Id)"
}

# The copy is what will be used, so it is what has to have the digest.
function Copy-Verified($File, $Path) {
    Copy-Item -LiteralPath (Join-Path $PSScriptRoot $File.File) -Destination $Path -Force
    if ((Get-FileHash -LiteralPath $Path -Algorithm SHA256).Hash -ne $File.Sha256) {
        Remove-Item -LiteralPath $Path -Force
        throw "The copy of $($File.File) has another SHA-256 than $($File.Sha256): the file changed while it was read."
    }
}

function Copy-Igvm($Place) {
    $path = Join-Path $Place $Igvm.File
    Copy-Verified $Igvm $path
    # The processes that run machines have to read it: the group NT VIRTUAL MACHINE\Virtual Machines.
    $null = & icacls.exe $path /grant '*S-1-5-83-0:(R)'
    if ($LASTEXITCODE -ne 0) { throw "icacls can't let Hyper-V read $path." }
    return $path
}

function Add-Disk($Machine, $Place) {
    $path = Join-Path $Place 'disk.vhdx'
    $Machine | Get-VMHardDiskDrive | Where-Object { $_.Path -eq $path } | Remove-VMHardDiskDrive
    if (Test-Path -LiteralPath $path) { Remove-Item -LiteralPath $path -Force }
    # A copy: the file beside this script stays as it was built.
    Copy-Verified $Disk $path
    Add-VMHardDiskDrive -VM $Machine -ControllerType SCSI -Path $path
    $drive = $Machine | Get-VMHardDiskDrive | Where-Object { $_.Path -eq $path }
    Set-VMFirmware -VM $Machine -FirstBootDevice $drive
}

function Show-Console {
    $pipe = New-Object IO.Pipes.NamedPipeClientStream ('.', (Get-PipeName), [IO.Pipes.PipeDirection]::InOut)
    try {
        $pipe.Connect(60000)
        $reader = New-Object IO.StreamReader ($pipe)
        while ($null -ne ($line = $reader.ReadLine())) { $line }
    } finally {
        $pipe.Dispose()
    }
}

function Uninstall-Machine {
    $machine = Get-OwnMachine
    if ($null -eq $machine) {
        Write-Output "There is no machine '$Name'."
        return
    }
    if (-not $PSCmdlet.ShouldProcess($Name, 'Remove the machine, its disk and its files')) { return }
    $place = Get-Place $machine
    $record = Get-Record $machine
    if ($machine.State -ne 'Off') { Stop-VM -VM $machine -TurnOff -Force }
    Remove-VM -VM $machine -Force
    if (Test-Path -LiteralPath $place) { Remove-Item -LiteralPath $place -Recurse -Force }
    $others = @(Get-VM | Where-Object { Test-Own $_ })
    if ($record.registry -eq 'set' -and $others.Count -eq 0) {
        Remove-ItemProperty -LiteralPath $Virtualization -Name $AllowFirmware -ErrorAction SilentlyContinue
    }
    Write-Output "Removed '$Name'."
}

$obstacles = @(Get-HostObstacle)
if ($obstacles.Count -eq 0 -and -not $Remove) { $obstacles = @(Get-Obstacle) }
if ($obstacles.Count -gt 0) {
    throw "Nothing was changed:`n  - $($obstacles -join "`n  - ")"
}
if ($Remove) {
    Uninstall-Machine
    return
}

$machine = Get-OwnMachine
if ($null -ne $machine) {
    $record = Get-Record $machine
    if ([version] "$($machine.Version)" -lt $LeastVersion) {
        throw "'$Name' is of version $($machine.Version), and $LeastVersion or later is needed: -Remove it, and make it anew."
    }
    if ($record.disk -and $record.disk -ne $Disk.Sha256 -and -not $ReplaceDisk) {
        throw "The disk of '$Name' was made from another build. -ReplaceDisk makes it anew; what the guest wrote to it is lost."
    }
} else {
    $record = @{ igvm = ''; disk = ''; registry = 'kept' }
}

if ($null -eq $machine) {
    if ($PSCmdlet.ShouldProcess($Name, 'Make a machine of generation 2 with isolation type OpenHCL')) {
        $machine = New-VM -Name $Name -Generation 2 -GuestStateIsolationType OpenHCL -NoVHD -MemoryStartupBytes $MemoryBytes
        # From now on it is known as this script's.
        try { Write-Record $machine $record } catch { Remove-VM -VM $machine -Force; throw }
    } elseif (-not $WhatIfPreference) {
        return
    }
}

if (-not (Get-FirmwareAllowed)) {
    if ($PSCmdlet.ShouldProcess("$Virtualization\$AllowFirmware", 'Set to 1: this host may load firmware from files')) {
        if (-not (Test-Path -LiteralPath $Virtualization)) { $null = New-Item -Path $Virtualization }
        Set-ItemProperty -LiteralPath $Virtualization -Name $AllowFirmware -Value 1 -Type DWord
        $record.registry = 'set'
        Write-Record $machine $record
    }
}

$isIgvmNew = $record.igvm -ne $Igvm.Sha256 -or $Vtl2RangeMiB -gt 0
$isDiskNew = $Disk.File -and ($record.disk -ne $Disk.Sha256 -or $ReplaceDisk)
if ($null -ne $machine -and $machine.State -ne 'Off' -and ($isIgvmNew -or $isDiskNew)) {
    throw "'$Name' is $($machine.State), and its files are to change: Stop-VM it first."
}

if (($null -eq $machine -or $machine.State -eq 'Off') -and
    $PSCmdlet.ShouldProcess($Name, 'Set processors, memory, network and console; Secure Boot off, no checkpoints')) {
    Set-VM -VM $machine -ProcessorCount $Processors -StaticMemory -MemoryStartupBytes $MemoryBytes -AutomaticCheckpointsEnabled $false
    # Nothing in the images is signed.
    Set-VMFirmware -VM $machine -EnableSecureBoot Off
    $machine | Get-VMNetworkAdapter | Remove-VMNetworkAdapter
    if ($SwitchName) { Add-VMNetworkAdapter -VM $machine -SwitchName $SwitchName }
    Connect-Console $machine
}

if ($isIgvmNew -and $PSCmdlet.ShouldProcess($Name, "Load $($Igvm.File) ($($Igvm.Sha256)) at VTL2")) {
    $place = Get-Place $machine
    $null = New-Item -ItemType Directory -Path $place -Force
    Use-Firmware $machine (Copy-Igvm $place)
    $record.igvm = $Igvm.Sha256
    Write-Record $machine $record
}

if ($isDiskNew -and $PSCmdlet.ShouldProcess($Name, "Attach a copy of $($Disk.File) ($($Disk.Sha256))")) {
    $place = Get-Place $machine
    $null = New-Item -ItemType Directory -Path $place -Force
    Add-Disk $machine $place
    $record.disk = $Disk.Sha256
    Write-Record $machine $record
}

if ($Start -and $PSCmdlet.ShouldProcess($Name, 'Start')) {
    if ($machine.State -ne 'Running') { Start-VM -VM $machine }
}
if ($Console -and $PSCmdlet.ShouldProcess($Name, 'Show the console')) {
    Show-Console
} elseif ($null -ne $machine) {
    Write-Output "'$Name' is $((Get-OwnMachine).State); its console is \\.\pipe\$(Get-PipeName)."
}

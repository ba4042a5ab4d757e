#!/usr/bin/env bash
# An image for Azure of a profile's disk, and a machine of it. Written by `cargo xtask provision azure image`; write it anew
# rather than change it. README.md says how it is used.
set -euo pipefail

usage() {
    cat <<'END'
{{usage}}
END
}

fail() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    exit 2
}

profile={{profile}}
group=${GROUP:-{{group}}}
location=${LOCATION:-{{location}}}
container=${CONTAINER:-{{container}}}
blob=${BLOB:-{{blob}}}
gallery=${GALLERY:-{{gallery}}}
image={{name}}
version=${IMAGE_VERSION:-{{version}}}
publisher=${PUBLISHER:-{{publisher}}}
offer=${OFFER:-{{offer}}}
size=${VM_SIZE:-{{size}}}

# Everywhere but in its help: no account has a name that could be guessed.
account() {
    printf '%s' "${STORAGE_ACCOUNT:?set it to the name of the storage account: 3 to 24 small letters and digits, unique in all of Azure}"
}

make_storage() {
    local account
    account=$(account)
    az group create --name "$group" --location "$location" --output none
    az storage account create --name "$account" --resource-group "$group" --location "$location" \
        --kind StorageV2 --sku Standard_LRS --min-tls-version TLS1_2 --https-only true \
        --allow-blob-public-access false --output none
    az storage container-rm create --storage-account "$account" --resource-group "$group" --name "$container" --output none
    az storage account show --name "$account" --resource-group "$group" --query primaryEndpoints.blob --output tsv
}

make_image() {
    local account account_id endpoint
    account=$(account)
    account_id=$(az storage account show --name "$account" --resource-group "$group" --query id --output tsv)
    endpoint=$(az storage account show --name "$account" --resource-group "$group" --query primaryEndpoints.blob --output tsv)
    az sig create --resource-group "$group" --gallery-name "$gallery" --location "$location" --output none
    az sig image-definition create --resource-group "$group" --gallery-name "$gallery" \
        --gallery-image-definition "$image" --publisher "$publisher" --offer "$offer" --sku "$image" \
        --os-type Linux --os-state {{os-state}} --hyper-v-generation V2 --architecture {{architecture}} \
        --features SecurityType={{feature}} --location "$location" --output none
    az sig image-version create --resource-group "$group" --gallery-name "$gallery" \
        --gallery-image-definition "$image" --gallery-image-version "$version" \
        --os-vhd-uri "$endpoint$container/$blob" --os-vhd-storage-account "$account_id" \
        --location "$location" --target-regions "$location" --replica-count 1 \
        --block-deletion-before-end-of-life false --output none
    image_id
}

image_id() {
    az sig image-version show --resource-group "$group" --gallery-name "$gallery" \
        --gallery-image-definition "$image" --gallery-image-version "$version" --query id --output tsv
}

make_machine() {
    local name=$1
    shift
    az vm create --resource-group "$group" --name "$name" --location "$location" --image "$(image_id)" --size "$size" \
        {{machine}} \
        --public-ip-address '' --nsg-rule NONE --boot-diagnostics-storage '' --output none "$@"
    az vm boot-diagnostics enable --resource-group "$group" --name "$name" --output none
}

# From the outside in; what is not there any more is passed over.
remove_image() {
    local account
    account=$(account)
    az sig image-version delete --resource-group "$group" --gallery-name "$gallery" \
        --gallery-image-definition "$image" --gallery-image-version "$version"
    if [[ -z $(az sig image-version list --resource-group "$group" --gallery-name "$gallery" \
        --gallery-image-definition "$image" --query '[].name' --output tsv) ]]; then
        az sig image-definition delete --resource-group "$group" --gallery-name "$gallery" --gallery-image-definition "$image"
    fi
    if [[ -z $(az sig image-definition list --resource-group "$group" --gallery-name "$gallery" --query '[].name' --output tsv) ]]; then
        az sig delete --resource-group "$group" --gallery-name "$gallery"
    fi
    az storage blob delete --account-name "$account" --container-name "$container" --name "$blob" --auth-mode login --output none
}

command=${1:-}
[[ $# -gt 0 ]] && shift
case $command in
    storage | image | remove)
        [[ $# -eq 0 ]] || fail "$command takes no more words"
        case $command in
            storage) make_storage ;;
            image) make_image ;;
            remove) remove_image ;;
        esac
        ;;
    vm)
        [[ $# -ge 1 ]] || fail 'vm needs the name of the machine'
        make_machine "$@"
        ;;
    console)
        [[ $# -eq 1 ]] || fail 'console needs the name of the machine'
        az vm boot-diagnostics get-boot-log --resource-group "$group" --name "$1"
        ;;
    remove-vm)
        [[ $# -eq 1 ]] || fail 'remove-vm needs the name of the machine'
        az vm delete --resource-group "$group" --name "$1" --yes --output none
        ;;
    -h | --help | '')
        usage
        [[ -n $command ]] || exit 2
        ;;
    *) fail "there is no command $command for $profile; --help lists them" ;;
esac

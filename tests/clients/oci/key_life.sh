#!/usr/bin/env bash
# A script as it runs in OCI: keys from their creation to the day of their deletion, by Oracle's command line.
set -euo pipefail

ask() { oci "$@" --raw-output; }
fails() { # the code of what must not work
    if told=$(oci --no-retry "$@" 2>&1); then
        echo "it worked: $*" >&2
        exit 1
    fi
    sed -n 's/.*"code": "\([A-Za-z]*\)".*/\1/p' <<<"$told"
}
is() { [ "$1" = "$2" ] || { echo "$1 is not $2" >&2; exit 1; }; }

compartments=$(ask iam compartment list --compartment-id-in-subtree true --access-level ACCESSIBLE \
    --query "join(' ', [data[?name=='production'].id | [0], data[?name=='staging'].id | [0]])")
read -r production staging <<<"$compartments"

read -r vault manage crypto <<<"$(ask kms management vault create --compartment-id "$production" \
    --display-name "of a script" --vault-type DEFAULT --wait-for-state ACTIVE \
    --query 'join(`" "`, [data.id, data."management-endpoint", data."crypto-endpoint"])')"
[[ $manage == https://*-management.kms.us-ashburn-1.oraclecloud.com ]]

# Numbers in quotes, as in Oracle's own examples.
read -r key first <<<"$(ask kms management key create --endpoint "$manage" --compartment-id "$production" \
    --display-name orders --key-shape '{"algorithm": "AES", "length": "32"}' --wait-for-state ENABLED \
    --query 'join(`" "`, [data.id, data."current-key-version"])')"
state() { ask kms management key "$@" --endpoint "$manage" --key-id "$key" --query 'data."lifecycle-state"'; }
is "$(state disable --wait-for-state DISABLED)" DISABLED
is "$(fails kms management key disable --endpoint "$manage" --key-id "$key")" IncorrectState
is "$(state enable --wait-for-state ENABLED)" ENABLED
second=$(ask kms management key-version create --endpoint "$manage" --key-id "$key" --wait-for-state ENABLED \
    --query data.id)
is "$(ask kms management key-version list --endpoint "$manage" --key-id "$key" --query 'length(data)')" 2

plain=$(printf 'four hundred' | base64)
sealed=$(ask kms crypto encrypt --endpoint "$crypto" --key-id "$key" --plaintext "$plain" --query data.ciphertext)
is "$(ask kms crypto decrypt --endpoint "$crypto" --key-id "$key" --ciphertext "$sealed" \
    --query 'join(`" "`, [data.plaintext, data."key-version-id"])')" "$plain $second"

ask kms management wrapping-key get --endpoint "$manage" --query 'data."public-key"' >wrapping.pem
openssl rand 32 >own.key
openssl pkeyutl -encrypt -pubin -inkey wrapping.pem -in own.key -pkeyopt rsa_padding_mode:oaep \
    -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256 | base64 | tr -d '\n' >own.wrapped
is "$(ask kms management key import --endpoint "$manage" --compartment-id "$production" --display-name mine \
    --key-shape '{"algorithm": "AES", "length": 32}' \
    --wrapped-import-key "{\"keyMaterial\": \"$(cat own.wrapped)\", \"wrappingAlgorithm\": \"RSA_OAEP_SHA256\"}" \
    --query 'data."display-name"')" mine

is "$(ask kms management key-version schedule-deletion --endpoint "$manage" --key-id "$key" --key-version-id "$first" \
    --wait-for-state PENDING_DELETION --query 'data."lifecycle-state"')" PENDING_DELETION
is "$(state schedule-deletion --wait-for-state PENDING_DELETION)" PENDING_DELETION
is "$(state cancel-deletion --wait-for-state ENABLED --wait-for-state DISABLED)" ENABLED
at=$(date -u -d "+8 days" +%FT%TZ 2>/dev/null || date -u -v+8d +%FT%TZ)
is "$(state schedule-deletion --time-of-deletion "$at")" SCHEDULING_DELETION
is "$(state cancel-deletion)" CANCELLING_DELETION

oci kms management key change-compartment --endpoint "$manage" --key-id "$key" --compartment-id "$staging" >/dev/null
is "$(ask kms management key list --endpoint "$manage" --compartment-id "$staging" --query 'data[0].id')" "$key"
is "$(ask kms management vault schedule-deletion --vault-id "$vault" --wait-for-state PENDING_DELETION \
    --query 'data."lifecycle-state"')" PENDING_DELETION
echo lived

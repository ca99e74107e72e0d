#!/usr/bin/env bash
# The life of keys in OCI through the control plane, with curl and jq; Oracle's command line is the witness.
#
# Wants openssl and `oci` beside those, and a server whose clock may be moved:
#
#   CLAVIGER_SWITCHES=true make up            # prints the one-time password
#   eval "$(.venv/bin/claviger env)"
#   ONE_TIME_PASSWORD=... PASSWORD='a long one of your own' PATH=$PWD/.venv/bin:$PATH examples/curl/oci_keys.sh
set -euo pipefail

api=${CLAVIGER_URL:-https://localhost:8443}/api/v1
export CURL_CA_BUNDLE=${CURL_CA_BUNDLE:-$REQUESTS_CA_BUNDLE}
name="example-$$"
connection=embedded-oci
region=us-ashburn-1

# Secrets go through standard input and files: the arguments of a program can be seen by others.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
touch "$folder/headers"

# call METHOD PATH [BODY]: the JSON of the answer; where that is a refusal, shows it and ends the script
call() {
  local answer arguments=(--silent --show-error --fail-with-body --request "$1" "$api/$2" --header "@$folder/headers")
  [ "$#" -le 2 ] || arguments+=(--header 'Content-Type: application/json' --data-binary @-)
  if answer=$(curl "${arguments[@]}" <<<"${3:-}"); then
    printf '%s\n' "$answer"
  else
    printf '%s %s: %s\n' "$1" "$2" "$answer" >&2
    return 1
  fi
}
status() { curl --silent --output /dev/null --write-out '%{http_code}' --request "$1" "$api/$2" --header "@$folder/headers"; }
json() { jq --null-input --compact-output "$@"; }

# settled ID STATE: waits for a state; the record moves on by itself, and reading it asks OCI nothing
settled() {
  for _ in {1..300}; do
    state=$(call GET "cckm/oci/keys/$1" | jq --raw-output .oci_params.lifecycle_state)
    [ "$state" = "$2" ] && echo "$state" && return
    sleep 0.2
  done
  echo "the key stays $state" >&2
  return 1
}
# witness ID: what Oracle's own command line says of a key
witness() {
  claviger exec --quiet -- oci kms management key get --endpoint "$management" --key-id "$1" --raw-output \
    --query 'join(`" "`, [data."lifecycle-state", not_null(data."time-of-deletion", `""`)])'
}

# ------------------------------------------------------------------ signing in
if [ -n "${ONE_TIME_PASSWORD:-}" ]; then
  call PATCH auth/changepw "$(json '{username: "admin", password: env.ONE_TIME_PASSWORD, new_password: env.PASSWORD}')"
fi
token=$(call POST auth/tokens "$(json '{grant_type: "password", username: "admin", password: env.PASSWORD}')")
echo "Authorization: Bearer $(jq --raw-output .jwt <<<"$token")" >"$folder/headers"
echo "sign-in    good for $(jq .duration <<<"$token") s"

# ------------------------------------------------------------------ what is there, and a vault under management
regions=$(call POST cckm/oci/get-subscribed-regions "{\"connection\": \"$connection\"}")
echo "regions    $(jq --raw-output '.regions | join(" ")' <<<"$regions")"
compartments=$(call POST cckm/oci/get-compartments "{\"connection\": \"$connection\"}")
production=$(jq --raw-output '.data[] | select(.name == "production") | .id' <<<"$compartments")
echo "found      compartments: $(jq --raw-output '[.data[].name] | sort | join(" ")' <<<"$compartments")"
vaults=$(call POST cckm/oci/get-vaults "{\"connection\": \"$connection\", \"region\": \"$region\",
  \"compartment_id\": \"$production\"}")
ocid=$(jq --raw-output '[.data[] | select(.lifecycle_state == "ACTIVE" and .vault_type == "DEFAULT")][0].vault_id' <<<"$vaults")
echo "found      vaults: $(jq --raw-output '[.data[].display_name] | sort | join(" ")' <<<"$vaults")"
vaults=$(call GET "cckm/oci/vaults?vault_id=$ocid" | jq .resources)
if [ "$(jq length <<<"$vaults")" = 0 ]; then # the script has not been here before
  vaults=$(call POST cckm/oci/add-vaults "{\"connection\": \"$connection\", \"region\": \"$region\", \"vault_id\": [\"$ocid\"]}" |
    jq .vaults)
fi
vault=$(jq --raw-output '.[0].id' <<<"$vaults")
echo "added      $(jq --raw-output '.[0].display_name' <<<"$vaults")"
read -r management crypto <<<"$(claviger exec --quiet -- oci kms management vault get --vault-id "$ocid" --raw-output \
  --query 'join(`" "`, [data."management-endpoint", data."crypto-endpoint"])')"

# ------------------------------------------------------------------ a key, until it waits for its deletion, and back
made=$(call POST cckm/oci/keys "{\"vault\": \"$vault\", \"name\": \"$name\", \"algorithm\": \"AES\", \"length\": 32,
  \"protection_mode\": \"SOFTWARE\", \"compartment_id\": \"$production\"}")
key=$(jq --raw-output .id <<<"$made")
in_oci=$(jq --raw-output .oci_params.key_id <<<"$made")
echo "create     $(jq --raw-output .oci_params.lifecycle_state <<<"$made"), then $(settled "$key" ENABLED)"
version=$(call POST "cckm/oci/keys/$key/versions" '{"is_native": true}' | jq --raw-output .oci_key_version_params.version_id)
versions=$(call GET "cckm/oci/keys/$key/versions" | jq .total)
current=$(call GET "cckm/oci/keys/$key" | jq --raw-output .oci_params.current_key_version)
echo "rotate     $versions versions, the new one is current: $([ "$current" = "$version" ] && echo true)"
call POST "cckm/oci/keys/$key/disable" >/dev/null
echo "disable    $(settled "$key" DISABLED)"
call POST "cckm/oci/keys/$key/schedule-deletion" '{"days": 7}' >/dev/null
echo "schedule   $(settled "$key" PENDING_DELETION), until $(call GET "cckm/oci/keys/$key" | jq --raw-output .oci_params.time_of_deletion)"
echo "oci says   $(witness "$in_oci")"
call POST "cckm/oci/keys/$key/cancel-deletion" >/dev/null
echo "cancel     $(settled "$key" DISABLED)"
echo "oci says   $(witness "$in_oci")"

# ------------------------------------------------------------------ keys of our own (BYOK)
# upload NAME: the id of the key in OCI that has the material of a local key
upload() {
  call POST cckm/oci/upload-key "{\"vault\": \"$vault\", \"name\": \"$1\", \"protection_mode\": \"SOFTWARE\",
    \"compartment_id\": \"$production\", \"source_key_identifier\": \"$1\", \"source_key_tier\": \"local\"}" | jq --raw-output .id
}
call POST vault/keys2 "{\"name\": \"$name-aes\", \"algorithm\": \"AES\", \"size\": 256}" >/dev/null
uploaded=$(upload "$name-aes")
settled "$uploaded" ENABLED >/dev/null
source_name=$(call GET "cckm/oci/keys/$uploaded/versions" | jq --raw-output '.resources[0].source_key_name')
echo "upload     of $source_name, as $(call GET "cckm/oci/keys/$uploaded" | jq --raw-output .key_material_origin)"
# OCI hands out the keys that are no HSM's, wrapped to a key of ours: it is the same, to the last bit.
openssl genrsa -out "$folder/own.pem" 2048 2>/dev/null
openssl rsa -in "$folder/own.pem" -pubout -out "$folder/own.public" 2>/dev/null
uploaded_ocid=$(call GET "cckm/oci/keys/$uploaded" | jq --raw-output .oci_params.key_id)
claviger exec --quiet -- oci kms crypto key export --endpoint "$crypto" --key-id "$uploaded_ocid" --algorithm RSA_OAEP_SHA256 \
  --public-key "$(cat "$folder/own.public")" --query 'data."encrypted-key"' --raw-output | base64 --decode >"$folder/wrapped"
openssl pkeyutl -decrypt -inkey "$folder/own.pem" -in "$folder/wrapped" -pkeyopt rsa_padding_mode:oaep \
  -pkeyopt rsa_oaep_md:sha256 -out "$folder/in-oci"
local=$(call POST "vault/keys2/$name-aes/export" | jq --raw-output .material)
echo "same key   $([ "$local" = "$(od -An -v -tx1 "$folder/in-oci" | tr -d ' \n')" ] && echo true)"

# What was encrypted for the local RSA key is decrypted by OCI.
call POST vault/keys2 "{\"name\": \"$name-rsa\", \"algorithm\": \"RSA\", \"size\": 2048, \"unexportable\": true}" |
  jq --raw-output .publickey >"$folder/local.public"
uploaded_rsa=$(upload "$name-rsa")
settled "$uploaded_rsa" ENABLED >/dev/null
printf 'open sesame' | openssl pkeyutl -encrypt -pubin -inkey "$folder/local.public" -pkeyopt rsa_padding_mode:oaep \
  -pkeyopt rsa_oaep_md:sha256 | base64 | tr -d '\n' >"$folder/ciphertext"
read -r rsa_ocid rsa_version <<<"$(call GET "cckm/oci/keys/$uploaded_rsa" |
  jq --raw-output '"\(.oci_params.key_id) \(.oci_params.current_key_version)"')"
plaintext=$(claviger exec --quiet -- oci kms crypto decrypt --endpoint "$crypto" --key-id "$rsa_ocid" --key-version-id "$rsa_version" \
  --encryption-algorithm RSA_OAEP_SHA_256 --ciphertext "$(cat "$folder/ciphertext")" --query data.plaintext --raw-output)
echo "decrypt    $(base64 --decode <<<"$plaintext")"

# ------------------------------------------------------------------ thirty days later
call POST "cckm/oci/keys/$key/schedule-deletion" '{"days": 7}' >/dev/null
settled "$key" PENDING_DELETION >/dev/null
claviger clock advance 30d >/dev/null
echo "30 days    $(settled "$key" DELETED)"
claviger clock reset >/dev/null
echo "remove     $(status DELETE "cckm/oci/keys/$key"), then $(status GET "cckm/oci/keys/$key")"

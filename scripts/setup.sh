#!/usr/bin/env bash
#
# Prepares the two tenants for cross-tenant-vm with the Azure CLI. Runs without prompts and changes only what is missing;
# --dry-run prints the changes instead of making them.
#
#   setup.sh image-tenant   creates the app registration, its credential and its role on the gallery.
#                           Run it signed in to the tenant that owns the gallery.
#   setup.sh target-tenant  creates the app's service principal in the VM's tenant and its roles on a resource group.
#                           The administrator of that tenant runs it, signed in there, and needs only this file.
#
# docs/setup.md explains each step and the manual alternative.
set -euo pipefail

usage() {
  cat << 'END'
Usage:
  setup.sh image-tenant --gallery ID [--gallery ID]... [options]
    --gallery ID             resource ID of a gallery, or of one image definition
    --app-name NAME          display name of the app registration (default: cross-tenant-vm)
    --client-id ID           use this app registration instead of searching by name
    --repository OWNER/REPO  let this GitHub repository sign in without a secret; needs one of:
      --environment NAME       jobs of this deployment environment (recommended: it can require approval)
      --branch NAME            jobs on this branch
      --owner-id N, --repository-id N
                             GitHub's IDs of the owner and the repository, for the newer form of the subject;
                             read with the GitHub CLI (gh) if it is installed
    --certificate FILE       register this public certificate (PEM)
    --secret                 create a client secret and print it, unless this script created one before
    --page                   print the page for the other administrator, with the IDs filled in, to standard output;
                             the messages go to standard error. Values that are known already can be added:
                             --target-tenant ID, --subscription ID, --resource-group NAME, --location REGION

  setup.sh target-tenant --client-id ID --subscription ID --resource-group NAME [options]
    --location REGION        region of the resource group if it must be created
    --role NAME              built-in role on the resource group; repeatable
    --role-definition FILE   custom role on the resource group, as in docs/roles; repeatable
    --on ID FILE             custom role on another resource, such as a subnet, registry or identity; repeatable
                             Default without --role, --role-definition and --on: Contributor on the resource group
    --condition TEXT         condition of the roles assigned with --on
    --register               register the required resource providers

  Both:
    --dry-run                only read, and print the commands that would change something
END
}

fail() {
  printf 'setup.sh: %s\n' "$*" >&2
  exit 1
}

say() { printf '%s\n' "$*" >&"$messages"; }

# Says what is done, or with --dry-run what would be done.
announce() { # verb, object
  if [ "$dry_run" = true ]; then
    say "Would $1 $2"
    return
  fi
  case "$1" in
    create) say "Creating $2" ;;
    update) say "Updating $2" ;;
    *) say "$(printf '%s' "${1:0:1}" | tr '[:lower:]' '[:upper:]')${1:1}ing $2" ;;
  esac
}

# Values reach OData and JMESPath filters, JSON and other people's shells: no value may contain a character that has a
# meaning in any of them.
require() { # what it is, value, pattern
  [[ $2 =~ ^($3)$ && $2 != *..* ]] || fail "$1 is not valid: $(printf '%q' "$2")"
}
guid='[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}'
words='[A-Za-z0-9][A-Za-z0-9 ._()/-]*'
segment='[A-Za-z0-9_(][A-Za-z0-9._()-]*'

# Runs a command, or prints it with --dry-run.
change() {
  if [ "$dry_run" = true ]; then
    printf '+' >&2
    printf ' %q' "$@" >&2
    printf '\n' >&2
    return
  fi
  "$@"
}

# New principals take a while to replicate in Entra ID.
change_with_retry() {
  local attempt
  for attempt in 1 2 3 4 5 6; do
    if change "$@"; then return; fi
    [ "$attempt" = 6 ] || say "Retrying in ${SETUP_PAUSE:-15} s: the new principal may not have replicated yet."
    sleep "${SETUP_PAUSE:-15}"
  done
  fail "command failed: $*"
}

# Role assignments are read in the subscription of their scope, not in the default subscription.
subscription_of() { printf '%s' "$1" | cut -d/ -f3; }

lower() { printf '%s' "$1" | tr '[:upper:]' '[:lower:]'; }

ensure_service_principal() { # client-id → object ID on stdout
  local object
  object="$(az ad sp list --filter "appId eq '$1'" --query '[0].id' --output tsv)"
  if [ -z "$object" ]; then
    announce create "a service principal for the app in this tenant." >&2
    object="$(change az ad sp create --id "$1" --query id --output tsv)"
    [ "$dry_run" = false ] || object='<object-id-of-the-new-service-principal>'
  fi
  printf '%s' "$object"
}

# The page shown after consent. Entra requires exactly the redirect URI that the consent URL names.
consent_redirect=https://www.microsoft.com/

ensure_redirect() { # client-id
  local existing=() uri uris
  uris="$(az ad app show --id "$1" --query 'web.redirectUris[]' --output tsv)"
  while IFS= read -r uri; do
    [ "$uri" != "$consent_redirect" ] || return 0
    [ -z "$uri" ] || existing+=("$uri")
  done <<< "$uris"
  announce add "redirect URI $consent_redirect to the app registration, for consent in the browser."
  # The option replaces the list.
  change az ad app update --id "$1" --web-redirect-uris ${existing[@]+"${existing[@]}"} "$consent_redirect" --output none
}

# Filters with --query, because --role rejects a role that --dry-run did not create.
assignment_of() { # object ID, role, scope, property
  az role assignment list --assignee "$1" --scope "$3" --subscription "$(subscription_of "$3")" \
    --query "[?roleDefinitionName=='$2' || ends_with(roleDefinitionId, '$2')].$4 | [0]" --output tsv
}

ensure_role() { # object ID, role, scope, condition
  local found
  if [ "${1#<}" != "$1" ]; then
    found='' # With --dry-run, the principal does not exist yet.
  else
    found="$(assignment_of "$1" "$2" "$3" id)"
  fi
  if [ -n "$found" ]; then
    [ -z "${4:-}" ] || require_condition "$@"
    say "The app already has the role \"$2\" on $3."
    return
  fi
  announce assign "the role \"$2\" on $3."
  if [ -n "${4:-}" ]; then
    change_with_retry az role assignment create --assignee-object-id "$1" --assignee-principal-type ServicePrincipal \
      --role "$2" --scope "$3" --subscription "$(subscription_of "$3")" --condition "$4" --condition-version 2.0 --output none
  else
    change_with_retry az role assignment create --assignee-object-id "$1" --assignee-principal-type ServicePrincipal \
      --role "$2" --scope "$3" --subscription "$(subscription_of "$3")" --output none
  fi
}

# Azure allows one assignment per principal, role and scope; without the condition, it would grant too much.
require_condition() { # object ID, role, scope, condition
  local actual
  actual="$(assignment_of "$1" "$2" "$3" condition)"
  [ "$actual" != "$4" ] || return 0
  if [ -n "$actual" ]; then actual="another condition: $actual"; else actual='no condition'; fi
  fail "the app already has the role \"$2\" on $3 with $actual"$'\n'"Delete that assignment and run this script again:"$'\n'"az role assignment delete" \
    "--assignee $1 --role \"$2\" --scope $3"
}

actions_of() { # name of a custom role, subscription
  az role definition list --name "$1" --custom-role-only true --subscription "$2" \
    --query '[0].permissions[0].actions' --output tsv | sort
}

# Creates or updates a custom role from its file and prints its name. Assignable scopes are only added.
ensure_role_definition() { # file, subscription, tenant
  local name definition existing wanted home="$2" scopes='' scope
  [ -r "$1" ] || fail "file not found: $1"
  name="$(sed -nE 's/^ *"Name": *"(.*)",?$/\1/p' "$1")"
  [ -n "$name" ] || fail "$1 is not a role definition: it has no \"Name\""
  require "the \"Name\" in $1" "$name" "$words"
  existing="$(actions_of "$name" "$2")"
  if [ -z "$existing" ]; then
    # Role names are unique in a tenant, but a subscription lists only roles that can be assigned there.
    for home in $(az account list --query "[?tenantId=='$3'].id" --output tsv); do
      existing="$(actions_of "$name" "$home")"
      [ -z "$existing" ] || break
    done
    scopes="\"/subscriptions/$2\""
  fi
  if [ -n "$existing" ]; then
    # Existing scopes come first: the CLI searches for the role in the scopes in order.
    for scope in $(az role definition list --name "$name" --custom-role-only true --subscription "$home" \
      --query 'reverse([0].assignableScopes)' --output tsv); do
      scopes="\"$scope\"${scopes:+, $scopes}"
    done
  fi
  definition="$(sed "s|\"/subscriptions/<subscription-id>\"|$scopes|; s/<subscription-id>/$2/g" "$1")"
  wanted="$(printf '%s\n' "$definition" | sed -nE 's/^ *"(Microsoft\.[^"]*)",?$/\1/p' | sort)"
  if [ -z "$existing" ]; then
    announce create "the custom role \"$name\"." >&2
    change az role definition create --role-definition "$definition" --subscription "$2" --output none
  elif [ "$home" != "$2" ] || [ "$existing" != "$wanted" ]; then
    announce update "the custom role \"$name\"." >&2
    change az role definition update --role-definition "$definition" --subscription "$home" --output none
  fi
  printf '%s' "$name"
}

ensure_federated_credential() { # client-id, name, subject
  local found=''
  [ "${1#<}" != "$1" ] ||
    found="$(az ad app federated-credential list --id "$1" --query "[?subject=='$3'].name | [0]" --output tsv)"
  if [ -n "$found" ]; then
    say "Federated credential \"$found\" for subject $3 exists."
    return
  fi
  announce create "a federated credential for subject $3."
  change az ad app federated-credential create --id "$1" --output none --parameters \
    "{\"name\":\"$2\",\"issuer\":\"https://token.actions.githubusercontent.com\",\"subject\":\"$3\",\"audiences\":[\"$audience\"]}"
}

# The audience of GitHub's ID token, which differs between Azure clouds.
token_audience() {
  case "$(az cloud show --query name --output tsv)" in
    AzureUSGovernment) printf 'api://AzureADTokenExchangeUSGov' ;;
    AzureChinaCloud) printf 'api://AzureADTokenExchangeChina' ;;
    *) printf 'api://AzureADTokenExchange' ;;
  esac
}

image_tenant() {
  local galleries=() app_name=cross-tenant-vm client_id='' repository='' kind='' value='' owner_id='' repository_id=''
  local certificate='' secret=false page=false gallery object thumbprint known audience tenant name ids
  local target='' subscription='' group='' location=''
  while [ $# -gt 0 ]; do
    case "$1" in
      --secret) secret=true ;;
      --page) page=true messages=2 ;;
      --dry-run) dry_run=true ;;
      --gallery | --app-name | --client-id | --repository | --environment | --branch | --owner-id | --repository-id | \
        --certificate | --target-tenant | --subscription | --resource-group | --location)
        [ $# -ge 2 ] || fail "$1 needs a value"
        case "$1" in
          --gallery) galleries+=("$2") ;;
          --app-name) app_name="$2" ;;
          --client-id) client_id="$2" ;;
          --repository) repository="$2" ;;
          --environment) kind=environment value="$2" ;;
          --branch) kind=branch value="$2" ;;
          --owner-id) owner_id="$2" ;;
          --repository-id) repository_id="$2" ;;
          --certificate) certificate="$2" ;;
          --target-tenant) target="$2" ;;
          --subscription) subscription="$2" ;;
          --resource-group) group="$2" ;;
          --location) location="$2" ;;
        esac
        shift
        ;;
      *) fail "unknown option $1 (--help lists them)" ;;
    esac
    shift
  done
  [ ${#galleries[@]} -gt 0 ] || fail '--gallery ID is required: a gallery or image definition'
  for gallery in "${galleries[@]}"; do
    require '--gallery (the ID of a gallery or image definition)' "$gallery" \
      "/subscriptions/$guid/resourceGroups/$segment/providers/Microsoft\.Compute/galleries/$segment(/images/$segment)?"
  done
  require '--app-name' "$app_name" "$words"
  [ -z "$client_id" ] || require '--client-id' "$client_id" "$guid"
  [ -z "$repository" ] || require '--repository (OWNER/REPO)' "$repository" '[A-Za-z0-9-]+/[A-Za-z0-9._-]+'
  [ -z "$repository" ] || [ -n "$kind" ] || fail '--repository needs --environment NAME or --branch NAME'
  [ -n "$repository" ] || [ -z "$kind" ] || fail "--$kind needs --repository OWNER/REPO"
  [ -z "$kind" ] || require "--$kind" "$value" "$words"
  [ -z "$owner_id" ] || require '--owner-id' "$owner_id" '[0-9]+'
  [ -z "$repository_id" ] || require '--repository-id' "$repository_id" '[0-9]+'
  [ -z "$target" ] || require '--target-tenant' "$target" "$guid|[A-Za-z0-9.-]+"
  [ -z "$subscription" ] || require '--subscription' "$subscription" "$guid"
  [ -z "$group" ] || require '--resource-group' "$group" "$segment"
  [ -z "$location" ] || require '--location' "$location" '[A-Za-z0-9]+'
  [ "$page$secret" != truetrue ] || fail 'use --page and --secret in separate runs: a page that is passed on must not contain the secret'
  [ -z "$certificate" ] || [ -r "$certificate" ] || fail "file not found: $certificate"
  [ -z "$certificate" ] || ! grep -q 'PRIVATE KEY' "$certificate" ||
    fail "$certificate contains a private key: pass a file with the certificate only"

  tenant="$(az account show --query tenantId --output tsv)"
  say "Signed in to tenant $tenant, which owns the app registration."

  if [ -z "$client_id" ]; then
    ids="$(az ad app list --filter "displayName eq '$app_name'" --query '[].appId' --output tsv)"
    [ "$(printf '%s' "$ids" | grep -c .)" -le 1 ] ||
      fail "several app registrations are named \"$app_name\": select one with --client-id"
    client_id="$ids"
  fi
  if [ -z "$client_id" ]; then
    announce create "the app registration \"$app_name\"."
    client_id="$(change az ad app create --display-name "$app_name" --sign-in-audience AzureADMultipleOrgs \
      --web-redirect-uris "$consent_redirect" --query appId --output tsv)"
    [ "$dry_run" = false ] || client_id='<client-id-of-the-new-app>'
  else
    if [ "$(az ad app show --id "$client_id" --query signInAudience --output tsv)" != AzureADMultipleOrgs ]; then
      announce allow "accounts of other tenants in the app registration."
      change az ad app update --id "$client_id" --sign-in-audience AzureADMultipleOrgs --output none
    fi
    ensure_redirect "$client_id"
  fi

  object="$(ensure_service_principal "$client_id")"
  for gallery in "${galleries[@]}"; do
    ensure_role "$object" 'Compute Gallery Image Reader' "$gallery"
  done

  if [ -n "$repository" ]; then
    audience="$(token_audience)"
    name="$(printf 'github-%s-%s-%s' "$repository" "$kind" "$value" | tr -c 'A-Za-z0-9_-' '-' | cut -c 1-110)"
    [ "$kind" != branch ] || value="refs/heads/$value" kind=ref
    ensure_federated_credential "$client_id" "$name" "repo:$repository:$kind:$value"
    if [ -z "$owner_id$repository_id" ] && command -v gh > /dev/null; then
      ids="$(gh api "repos/$repository" --jq '"\(.owner.id) \(.id)"' 2> /dev/null || true)"
      [ -z "$ids" ] || owner_id="${ids% *}" repository_id="${ids#* }"
    fi
    # Repositories created or renamed since 2026-07-15 use this form; others can opt in.
    if [ -n "$owner_id" ] && [ -n "$repository_id" ]; then
      ensure_federated_credential "$client_id" "$name-with-ids" \
        "repo:${repository%%/*}@$owner_id/${repository#*/}@$repository_id:$kind:$value"
    else
      say "Repositories created or renamed since 2026-07-15 have IDs in their subject. For those, run this script again with"
      say "--owner-id and --repository-id, or with the GitHub CLI installed and signed in."
    fi
  fi

  if [ -n "$certificate" ]; then
    thumbprint="$(openssl x509 -in "$certificate" -noout -fingerprint -sha1 | sed 's/.*=//; s/://g')"
    known=''
    [ "${client_id#<}" != "$client_id" ] ||
      known="$(az ad app credential list --id "$client_id" --cert --query "[?customKeyIdentifier=='$thumbprint'].keyId | [0]" --output tsv)"
    if [ -n "$known" ]; then
      say "The certificate is already registered."
    else
      announce register "the certificate."
      change az ad app credential reset --id "$client_id" --cert "@$certificate" --append --output none
    fi
  fi

  if [ "$secret" = true ]; then
    known=''
    [ "${client_id#<}" != "$client_id" ] ||
      known="$(az ad app credential list --id "$client_id" --query "[?displayName=='cross-tenant-vm'].endDateTime | [0]" --output tsv)"
    if [ -n "$known" ]; then
      say "A client secret of this script exists; it expires on $known. It cannot be read again: delete it to create a new one."
    else
      say "The next line is the client secret. It is shown only once: store it as a secret of the environment."
      change az ad app credential reset --id "$client_id" --append --years 1 --display-name cross-tenant-vm --query password --output tsv
    fi
  fi

  say ''
  say 'Variables for the workflow; none of them is a secret:'
  name="${repository:+ --repo $repository}"
  [ "$kind" != environment ] || name="$name --env '$value'"
  say "  gh variable set CLIENT_ID$name --body $client_id"
  say "  gh variable set IMAGE_TENANT_ID$name --body $tenant"
  gallery="${galleries[0]}"
  [[ $gallery == */images/* ]] || gallery="$gallery/images/<image-definition>"
  say "  gh variable set IMAGE_ID$name --body '$gallery'"
  say ''
  say 'The administrator of the other tenant gets this script, docs/roles/deploy.json and the page that --page prints, and runs:'
  say "  bash setup.sh target-tenant --client-id $client_id \\"
  say "    --subscription ${subscription:-<subscription-id>} --resource-group ${group:-<group>} \\"
  say "    --location ${location:-<region>} --register --role-definition deploy.json"
  [ "$page" = false ] || print_page
}

# The page for the other administrator, with the values that are known.
print_page() {
  local file="${BASH_SOURCE[0]%/*}/../docs/for-the-other-tenant.md"
  [ -r "$file" ] || fail "file not found: $file"
  sed -e "s|<client-id>|$client_id|g" -e "s|<image-tenant-id>|$tenant|g" \
    -e "s|<tenant-id>|${target:-<tenant-id>}|g" -e "s|<subscription-id>|${subscription:-<subscription-id>}|g" \
    -e "s|deployments|${group:-deployments}|g" -e "s|westeurope|${location:-westeurope}|g" "$file"
}

target_tenant() {
  local client_id='' subscription='' group='' location='' roles=() definitions=() scopes=() files=() condition=''
  local register=false tenant object scope name index state namespace
  while [ $# -gt 0 ]; do
    case "$1" in
      --register) register=true ;;
      --dry-run) dry_run=true ;;
      --on)
        [ $# -ge 3 ] || fail '--on needs a resource ID and a file'
        scopes+=("$2")
        files+=("$3")
        shift 2
        ;;
      --client-id | --subscription | --resource-group | --location | --role | --role-definition | --condition)
        [ $# -ge 2 ] || fail "$1 needs a value"
        case "$1" in
          --client-id) client_id="$(lower "$2")" ;;
          --subscription) subscription="$(lower "$2")" ;;
          --resource-group) group="$2" ;;
          --location) location="$2" ;;
          --role) roles+=("$2") ;;
          --role-definition) definitions+=("$2") ;;
          --condition) condition="$2" ;;
        esac
        shift
        ;;
      *) fail "unknown option $1 (--help lists them)" ;;
    esac
    shift
  done
  [ -n "$client_id" ] || fail '--client-id ID is required: the client ID of the app'
  [ -n "$subscription" ] || fail '--subscription ID is required'
  [ -n "$group" ] || fail '--resource-group NAME is required'
  require '--client-id' "$client_id" "$guid"
  require '--subscription' "$subscription" "$guid"
  require '--resource-group' "$group" "$segment"
  [ -z "$location" ] || require '--location' "$location" '[A-Za-z0-9]+'
  for name in ${roles[@]+"${roles[@]}"}; do require '--role' "$name" "$words"; done
  for scope in ${scopes[@]+"${scopes[@]}"}; do
    require '--on (a resource ID)' "$scope" "/subscriptions/$guid(/$segment)+"
  done
  [ ${#roles[@]} -gt 0 ] || [ ${#definitions[@]} -gt 0 ] || [ ${#scopes[@]} -gt 0 ] || roles=(Contributor)

  tenant="$(az account show --subscription "$subscription" --query tenantId --output tsv)"
  [ "$tenant" = "$(az account show --query tenantId --output tsv)" ] ||
    fail "az is set to another tenant; first run: az account set --subscription $subscription"
  say "Subscription $subscription is in tenant $tenant, in which the VMs will be created."

  object="$(ensure_service_principal "$client_id")"

  if [ "$(az group exists --name "$group" --subscription "$subscription")" != true ]; then
    [ -n "$location" ] || fail "resource group \"$group\" not found: create it, or pass --location REGION"
    announce create "the resource group \"$group\"."
    change az group create --name "$group" --location "$location" --subscription "$subscription" --output none
  fi
  scope="/subscriptions/$subscription/resourceGroups/$group"
  for name in ${roles[@]+"${roles[@]}"}; do
    ensure_role "$object" "$name" "$scope"
  done
  for name in ${definitions[@]+"${definitions[@]}"}; do
    name="$(ensure_role_definition "$name" "$subscription" "$tenant")"
    ensure_role "$object" "$name" "$scope"
  done
  for index in ${scopes[@]+"${!scopes[@]}"}; do
    name="$(ensure_role_definition "${files[$index]}" "$(lower "$(subscription_of "${scopes[$index]}")")" "$tenant")"
    ensure_role "$object" "$name" "${scopes[$index]}" "$condition"
  done

  for namespace in Microsoft.Compute Microsoft.Network Microsoft.ManagedIdentity; do
    [ "$register" = true ] || break
    state="$(az provider show --namespace "$namespace" --subscription "$subscription" --query registrationState --output tsv)"
    [ "$state" = Registered ] || change az provider register --namespace "$namespace" --subscription "$subscription" --output none
  done

  say ''
  say 'Send these values back; none of them is a secret:'
  say "  tenant-id: $tenant"
  say "  subscription-id: $subscription"
  say "  resource-group: $group"
  say 'The partner sets them as variables (with --env NAME, if the workflow uses an environment):'
  say "  gh variable set TENANT_ID --body $tenant"
  say "  gh variable set SUBSCRIPTION_ID --body $subscription"
}

dry_run=false messages=1
command="${1:-}"
[ $# -eq 0 ] || shift
for option in "$@"; do
  case "$option" in
    --help | -h) command=--help ;;
  esac
done
case "$command" in
  image-tenant | target-tenant)
    command -v az > /dev/null || fail 'the Azure CLI (az) is not installed'
    "${command/-/_}" "$@"
    ;;
  --help | -h) usage ;;
  *)
    usage >&2
    exit 2
    ;;
esac

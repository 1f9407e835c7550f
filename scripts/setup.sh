#!/usr/bin/env bash
#
# What cross-tenant-vm needs in the two tenants, with the Azure CLI. It asks nobody, and changes nothing that is right already;
# --dry-run changes nothing at all and prints what would be changed.
#
#   setup.sh image-tenant   the app registration, its credential, and the right to read the images.
#                           Signed in to the tenant that owns the gallery.
#   setup.sh target-tenant  the app in the tenant where the machines go, and its rights on a resource group.
#                           Signed in to that tenant: its administrator runs this, and needs this file alone.
#
# docs/setup.md explains each step, and how to do without this script.
set -euo pipefail

usage() {
  cat << 'END'
Usage:
  setup.sh image-tenant --gallery ID [--gallery ID]... [options]
    --gallery ID             resource ID of a gallery, or of one image definition
    --app-name NAME          display name of the app registration (default: cross-tenant-vm)
    --client-id ID           an existing app registration, instead of one found by its name
    --repository OWNER/REPO  let this GitHub repository sign in without a secret, together with one of:
      --environment NAME       jobs of this deployment environment (recommended: it can ask for approval)
      --branch NAME            jobs on this branch
      --owner-id N, --repository-id N
                             GitHub's numbers of the owner and the repository, for the newer form of the subject;
                             asked of the GitHub CLI (gh) if it is there
    --certificate FILE       register this public certificate (PEM)
    --secret                 make a client secret and print it, unless there is one by this script already

  setup.sh target-tenant --client-id ID --subscription ID --resource-group NAME [options]
    --location REGION        create the resource group there if it is missing
    --role NAME              built-in role on the resource group; can be repeated
    --role-definition FILE   custom role on the resource group, as in docs/roles; can be repeated
    --on ID FILE             custom role on another resource: a subnet, a registry, an identity; can be repeated
                             Without --role, --role-definition and --on: Contributor on the resource group
    --condition TEXT         condition of the roles that are assigned by --on
    --register               register the resource providers that are needed, if they are not

  Both:
    --dry-run                ask everything, change nothing, print the commands
END
}

fail() {
  printf 'setup.sh: %s\n' "$*" >&2
  exit 1
}

say() { printf '%s\n' "$*"; }

# Carries out a change, or prints it. What the change prints goes through.
change() {
  if [ "$dry_run" = true ]; then
    printf '+' >&2
    printf ' %q' "$@" >&2
    printf '\n' >&2
    return
  fi
  "$@"
}

# Azure tells of new principals everywhere only after a while.
change_patiently() {
  local try
  for try in 1 2 3 4 5 6; do
    if change "$@"; then return; fi
    [ "$try" = 6 ] || say "Trying again in ${SETUP_PAUSE:-15} s: what was just created may not be known everywhere yet."
    sleep "${SETUP_PAUSE:-15}"
  done
  fail "this did not work: $*"
}

# Role assignments are asked of the subscription that they are in, whichever one is the default.
subscription_of() { printf '%s' "$1" | cut -d/ -f3; }

lower() { printf '%s' "$1" | tr '[:upper:]' '[:lower:]'; }

ensure_service_principal() { # client-id → object ID on stdout
  local object
  object="$(az ad sp list --filter "appId eq '$1'" --query '[0].id' --output tsv)"
  if [ -z "$object" ]; then
    say "The app gets a service principal in this tenant." >&2
    object="$(change az ad sp create --id "$1" --query id --output tsv)"
    [ "$dry_run" = false ] || object='<object-id-of-the-new-service-principal>'
  fi
  printf '%s' "$object"
}

# Where the browser lands after consent; nothing is served there. Entra compares it to the letter with what the address asks for.
after_consent=https://www.microsoft.com/

ensure_redirect() { # client-id
  local known=() uri uris
  uris="$(az ad app show --id "$1" --query 'web.redirectUris[]' --output tsv)"
  while IFS= read -r uri; do
    [ "$uri" != "$after_consent" ] || return 0
    [ -z "$uri" ] || known+=("$uri")
  done <<< "$uris"
  say "The app registration gets the redirect address $after_consent, where consent in the browser ends."
  # The option replaces the whole list.
  change az ad app update --id "$1" --web-redirect-uris ${known[@]+"${known[@]}"} "$after_consent" --output none
}

# Chosen by the query and not by --role: that refuses a role which --dry-run has not made.
assignment_of() { # object ID, role, scope, property
  az role assignment list --assignee "$1" --scope "$3" --subscription "$(subscription_of "$3")" \
    --query "[?roleDefinitionName=='$2' || ends_with(roleDefinitionId, '$2')].$4 | [0]" --output tsv
}

ensure_role() { # object ID, role, scope, condition
  local found
  if [ "${1#<}" != "$1" ]; then
    found='' # A principal that is still to be made has no roles to look for.
  else
    found="$(assignment_of "$1" "$2" "$3" id)"
  fi
  if [ -n "$found" ]; then
    [ -z "${4:-}" ] || require_condition "$@"
    say "It has the role \"$2\" on $3."
    return
  fi
  say "It gets the role \"$2\" on $3."
  if [ -n "${4:-}" ]; then
    change_patiently az role assignment create --assignee-object-id "$1" --assignee-principal-type ServicePrincipal \
      --role "$2" --scope "$3" --subscription "$(subscription_of "$3")" --condition "$4" --condition-version 2.0 --output none
  else
    change_patiently az role assignment create --assignee-object-id "$1" --assignee-principal-type ServicePrincipal \
      --role "$2" --scope "$3" --subscription "$(subscription_of "$3")" --output none
  fi
}

# Azure keeps one assignment of a role on a scope; one without the condition allows what the condition is to forbid.
require_condition() { # object ID, role, scope, condition
  local has
  has="$(assignment_of "$1" "$2" "$3" condition)"
  [ "$has" != "$4" ] || return 0
  if [ -n "$has" ]; then has="another condition: $has"; else has='no condition'; fi
  fail "it has the role \"$2\" on $3 with $has"$'\n'"Take that away, and run this again:"$'\n'"az role assignment delete" \
    "--assignee $1 --role \"$2\" --scope $3"
}

actions_of() { # name of a custom role, subscription
  az role definition list --name "$1" --custom-role-only true --subscription "$2" \
    --query '[0].permissions[0].actions' --output tsv | sort
}

# A custom role by its file; what the file says replaces what the role said before, but for where it can be assigned: that
# is only added to. Prints the role's name.
ensure_role_definition() { # file, subscription, tenant
  local name definition existing wanted home="$2" scopes='' scope
  [ -r "$1" ] || fail "there is no file $1"
  name="$(sed -nE 's/^ *"Name": *"(.*)",?$/\1/p' "$1")"
  [ -n "$name" ] || fail "$1 is not a role definition: it has no line with a \"Name\""
  existing="$(actions_of "$name" "$2")"
  if [ -z "$existing" ]; then
    # A tenant has one role of a name, and a subscription lists it only if it can be assigned there.
    for home in $(az account list --query "[?tenantId=='$3'].id" --output tsv); do
      existing="$(actions_of "$name" "$home")"
      [ -z "$existing" ] || break
    done
    scopes="\"/subscriptions/$2\""
  fi
  if [ -n "$existing" ]; then
    # These go first: the CLI looks for the role in them, one after the other.
    for scope in $(az role definition list --name "$name" --custom-role-only true --subscription "$home" \
      --query 'reverse([0].assignableScopes)' --output tsv); do
      scopes="\"$scope\"${scopes:+, $scopes}"
    done
  fi
  definition="$(sed "s|\"/subscriptions/<subscription-id>\"|$scopes|; s/<subscription-id>/$2/g" "$1")"
  wanted="$(printf '%s\n' "$definition" | sed -nE 's/^ *"(Microsoft\.[^"]*)",?$/\1/p' | sort)"
  if [ -z "$existing" ]; then
    say "The custom role \"$name\" is created." >&2
    change az role definition create --role-definition "$definition" --subscription "$2" --output none
  elif [ "$home" != "$2" ] || [ "$existing" != "$wanted" ]; then
    say "The custom role \"$name\" is brought up to date." >&2
    change az role definition update --role-definition "$definition" --subscription "$home" --output none
  fi
  printf '%s' "$name"
}

ensure_federated_credential() { # client-id, name, subject
  local found=''
  [ "${1#<}" != "$1" ] ||
    found="$(az ad app federated-credential list --id "$1" --query "[?subject=='$3'].name | [0]" --output tsv)"
  if [ -n "$found" ]; then
    say "The subject $3 may sign in (federated credential \"$found\")."
    return
  fi
  say "The subject $3 may sign in from now on."
  change az ad app federated-credential create --id "$1" --output none --parameters \
    "{\"name\":\"$2\",\"issuer\":\"https://token.actions.githubusercontent.com\",\"subject\":\"$3\",\"audiences\":[\"$audience\"]}"
}

# What a token of this cloud is made out for; Azure's own clouds differ.
token_audience() {
  case "$(az cloud show --query name --output tsv)" in
    AzureUSGovernment) printf 'api://AzureADTokenExchangeUSGov' ;;
    AzureChinaCloud) printf 'api://AzureADTokenExchangeChina' ;;
    *) printf 'api://AzureADTokenExchange' ;;
  esac
}

image_tenant() {
  local galleries=() app_name=cross-tenant-vm client_id='' repository='' kind='' value='' owner_id='' repository_id=''
  local certificate='' secret=false gallery object thumbprint known audience tenant name ids
  while [ $# -gt 0 ]; do
    case "$1" in
      --secret) secret=true ;;
      --dry-run) dry_run=true ;;
      --gallery | --app-name | --client-id | --repository | --environment | --branch | --owner-id | --repository-id | --certificate)
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
        esac
        shift
        ;;
      *) fail "unknown option $1 (--help lists them)" ;;
    esac
    shift
  done
  [ ${#galleries[@]} -gt 0 ] || fail 'give the gallery or image definition that is to be readable: --gallery ID'
  for gallery in "${galleries[@]}"; do
    [[ $gallery =~ ^/subscriptions/[0-9a-fA-F-]{36}/resourceGroups/[^/]+/providers/Microsoft\.Compute/galleries/[^/]+(/images/[^/]+)?$ ]] ||
      fail "this is not the ID of a gallery or an image definition: $gallery"
  done
  [ -z "$repository" ] || [[ $repository =~ ^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$ ]] || fail "this is not OWNER/REPO: $repository"
  [ -z "$repository" ] || [ -n "$kind" ] || fail '--repository needs --environment NAME or --branch NAME'
  [ -n "$repository" ] || [ -z "$kind" ] || fail "--$kind needs --repository OWNER/REPO"
  [[ $value != *[\'\"\\]* ]] || fail "this name cannot be used: $value"
  [ -z "$certificate" ] || [ -r "$certificate" ] || fail "there is no file $certificate"
  [ -z "$certificate" ] || ! grep -q 'PRIVATE KEY' "$certificate" ||
    fail "$certificate holds a private key: register the certificate alone, and keep the key to yourself"

  tenant="$(az account show --query tenantId --output tsv)"
  say "Signed in to tenant $tenant, which is to own the app registration."

  if [ -z "$client_id" ]; then
    ids="$(az ad app list --filter "displayName eq '$app_name'" --query '[].appId' --output tsv)"
    [ "$(printf '%s' "$ids" | grep -c .)" -le 1 ] ||
      fail "several app registrations are called \"$app_name\": choose one with --client-id"
    client_id="$ids"
  fi
  if [ -z "$client_id" ]; then
    say "The app registration \"$app_name\" is created."
    client_id="$(change az ad app create --display-name "$app_name" --sign-in-audience AzureADMultipleOrgs \
      --web-redirect-uris "$after_consent" --query appId --output tsv)"
    [ "$dry_run" = false ] || client_id='<client-id-of-the-new-app>'
  else
    if [ "$(az ad app show --id "$client_id" --query signInAudience --output tsv)" != AzureADMultipleOrgs ]; then
      say "The app registration is opened to other tenants."
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
    # Repositories made or renamed since 2026-07-15 present this form, and others can choose it.
    if [ -n "$owner_id" ] && [ -n "$repository_id" ]; then
      ensure_federated_credential "$client_id" "$name-with-ids" \
        "repo:${repository%%/*}@$owner_id/${repository#*/}@$repository_id:$kind:$value"
    else
      say "Repositories made or renamed since 2026-07-15 have numbers in their subject. For those, run this again with"
      say "--owner-id and --repository-id, or with the GitHub CLI installed and signed in."
    fi
  fi

  if [ -n "$certificate" ]; then
    thumbprint="$(openssl x509 -in "$certificate" -noout -fingerprint -sha1 | sed 's/.*=//; s/://g')"
    known=''
    [ "${client_id#<}" != "$client_id" ] ||
      known="$(az ad app credential list --id "$client_id" --cert --query "[?customKeyIdentifier=='$thumbprint'].keyId | [0]" --output tsv)"
    if [ -n "$known" ]; then
      say "The certificate is registered."
    else
      say "The certificate is registered now."
      change az ad app credential reset --id "$client_id" --cert "@$certificate" --append --output none
    fi
  fi

  if [ "$secret" = true ]; then
    known=''
    [ "${client_id#<}" != "$client_id" ] ||
      known="$(az ad app credential list --id "$client_id" --query "[?displayName=='cross-tenant-vm'].endDateTime | [0]" --output tsv)"
    if [ -n "$known" ]; then
      say "There is a secret by this script; it ends on $known. Nobody can read it again: delete it to get another."
    else
      say "The next line is the client secret. It is shown this once: store it as a secret of the environment."
      change az ad app credential reset --id "$client_id" --append --years 1 --display-name cross-tenant-vm --query password --output tsv
    fi
  fi

  say ''
  say 'For the workflow (variables of the repository or the environment, no secrets):'
  say "  client-id: $client_id"
  say "  image-tenant-id: $tenant"
  say ''
  say "For the other tenant's administrator, together with docs/for-the-other-tenant.md and this script:"
  say "  setup.sh target-tenant --client-id $client_id --subscription <subscription-id> --resource-group <group>"
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
  local guid='^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
  [[ $client_id =~ $guid ]] || fail 'give the client ID of the app: --client-id ID'
  [[ $subscription =~ $guid ]] || fail 'give the ID of the subscription: --subscription ID'
  [ -n "$group" ] || fail 'give the resource group: --resource-group NAME'
  [ ${#roles[@]} -gt 0 ] || [ ${#definitions[@]} -gt 0 ] || [ ${#scopes[@]} -gt 0 ] || roles=(Contributor)

  tenant="$(az account show --subscription "$subscription" --query tenantId --output tsv)"
  [ "$tenant" = "$(az account show --query tenantId --output tsv)" ] ||
    fail "az speaks to another tenant by default; first run: az account set --subscription $subscription"
  say "Subscription $subscription is in tenant $tenant, where the machines are to go."

  object="$(ensure_service_principal "$client_id")"

  if [ "$(az group exists --name "$group" --subscription "$subscription")" != true ]; then
    [ -n "$location" ] || fail "there is no resource group \"$group\": create it, or give --location REGION"
    say "The resource group \"$group\" is created."
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
  say 'Send back, for the workflow:'
  say "  tenant-id: $tenant"
  say "  subscription-id: $subscription"
  say "  resource-group: $group"
}

dry_run=false
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

import { describe, expect, test } from '@jest/globals';
import {
  type Given,
  guid,
  group,
  subnetId,
  nicId,
  nsgId,
  publicIpId,
  ed25519,
  least,
  wire,
  readDeployment,
  refusal,
  issuesOf,
} from '../../support/read-inputs.ts';

describe('invalid inputs', () => {
  test.each<[Given, RegExp]>([
    [{ 'client-id': 'my-app' }, /^client-id: is not a GUID/],
    [{ 'client-id': '' }, /^client-id: is required/],
    [{ 'tenant-id': 'common' }, /^tenant-id: is neither the GUID nor a verified domain/],
    [{ 'image-tenant-id': '' }, /^image-tenant-id: is required/],
    [{ 'auxiliary-tenant-ids': guid('3') }, /^auxiliary-tenant-ids: .* already named/],
    [{ 'auxiliary-tenant-ids': [5, 6, 7].map((n) => guid(`${n}`)).join() }, /^auxiliary-tenant-ids: has 3 entries/],
    [{ 'auxiliary-tenant-ids': 'x' }, /^auxiliary-tenant-ids: is neither/],
    [{ environment: 'azuregermancloud' }, /^environment: .* is none of: azurecloud, azureusgovernment/],
    [{ environment: 'http://management.azure.com' }, /^environment: .* https URL/],
    [{ environment: 'https://management.azure.com/metadata' }, /^environment: .* without a path/],
    [{ operation: 'update' }, /^operation: "update" is none of: create, check, delete, sweep, list\.$/],
    [{ cleanup: 'yes' }, /^cleanup: "yes" is none of: never, on-failure, always\.$/],
    [{ 'timeout-minutes': '0' }, /^timeout-minutes: "0" is not a duration above 0/],
    [{ 'timeout-minutes': '1 moon' }, /^timeout-minutes: "1 moon"/],
    [{ 'image-wait-minutes': '-1' }, /^image-wait-minutes: "-1" is not a duration from 0/],
    [{ 'wait-for': 'running' }, /^wait-for: "running" is none of/],
    [{ summary: 'yes' }, /^summary: "yes" is none of: false, true\.$/],
    [{ 'subscription-id': 'prod' }, /^subscription-id: is not a GUID/],
    [{ 'resource-group': 'rg.' }, /^resource-group: .* does not end in a period/],
    [{ 'resource-group': 'r'.repeat(91) }, /^resource-group: /],
    [{ 'resource-group': 'a/b' }, /^resource-group: /],
    [{ location: 'west-europe!' }, /^location: .* is not the name of a region/],
    [{ 'expires-after': '2y' }, /^expires-after: .* is not a duration/],
    [{ 'expires-after': 'P1M' }, /^expires-after: /],
    [{ 'expires-after': 'PT' }, /^expires-after: /],
    [{ 'expires-after': 'PT0S' }, /^expires-after: .* above zero/],
    [{ 'expires-after': 'P9999D' }, /^expires-after: .* at most/],
    [{ tags: 'a=b' }, /^tags: is not a YAML or JSON object/],
    [{ tags: '{"a": ' }, /^tags: is neither YAML nor JSON \(line 1/],
    [{ tags: 'a: [1, 2]' }, /^tags: "a" holds a list or an object/],
    [{ tags: 'Expires-On: never' }, /^tags: "Expires-On" is a tag that the action sets itself/],
    [{ tags: 'a/b: c' }, /^tags: "a\/b" contains one of/],
    [{ tags: `a: ${'x'.repeat(257)}` }, /^tags: "a" has a value of 257 characters/],
    [{ tags: `${'x'.repeat(513)}: a` }, /^tags: .* 1 to 512 characters/],
    [{ tags: 'a: b\nA: c' }, /^tags: has two names that differ only in case/],
    [{ tags: Array.from({ length: 40 }, (_, n) => `t${n}: v`).join('\n') }, /^tags: has 40 tags; .* sets 11 itself/],
    [{ 'image-id': '' }, /^image-id: is required/],
    [{ 'image-id': 'Canonical:ubuntu:server:latest' }, /^image-id: .* Marketplace/],
    [{ 'vm-name': 'my_vm' }, /^vm-name: "my_vm" is not a name of 1 to 64 letters, digits and hyphens/],
    [{ 'vm-name': 'v'.repeat(65) }, /^vm-name: /],
    [{ 'vm-name': 'vm-' }, /^vm-name: .* at both ends/],
    [{ 'vm-size': 'D2s_v5' }, /^vm-size: "D2s_v5" is not the name of a VM size: did you mean Standard_D2s_v5\?$/m],
    [{ 'vm-size': 'Standard D2sv5' }, /did you mean Standard_D2s_v5\?/],
    [{ 'vm-size': 'standard-e4-2ads-v6' }, /did you mean Standard_e4_2ads_v6\?|did you mean Standard_e4-2ads_v6\?/],
    [{ 'vm-size': 'huge' }, /^vm-size: "huge" is not the name of a VM size, such as Standard_D2s_v5\.$/m],
    [{ 'license-type': 'WindowsServer' }, /^license-type: "WindowsServer" is none of: None, .*Windows_Server/],
    [{ zone: 'westeurope-1' }, /^zone: .* is not a zone: 1, 2 or 3/],
    [{ 'max-price': '-1.1' }, /^max-price: cannot be used here/],
    [{ tags: '# none yet\n- a' }, /^tags: is not a YAML or JSON object/],
    [{ tags: '~' }, /^tags: is not a YAML or JSON object/],
    [{ 'run-script-parameters': '[' }, /^run-script-parameters: is neither YAML nor JSON/],
    [{ 'max-price': '0.1' }, /^max-price: cannot be used here: .* spot is neither true nor prefer/],
    [{ 'eviction-policy': 'Deallocate' }, /^eviction-policy: cannot be used here/],
    [{ spot: 'true', 'max-price': '0' }, /^max-price: "0" is not a price/],
    [{ spot: 'true', 'eviction-policy': 'Stop' }, /^eviction-policy: "Stop" is none of/],
    [{ 'admin-username': 'Admin' }, /^admin-username: "Admin" is one of the names that Azure refuses/],
    [{ 'admin-username': 'a@b' }, /^admin-username: "a@b" is not a name that contains none of/],
    [{ 'admin-username': 'u'.repeat(21), 'os-type': 'Windows' }, /^admin-username: .* on Windows is 20/],
    [{ 'admin-username': 'me.', 'os-type': 'Windows' }, /^admin-username: .* does not end in a period/],
    [{ 'admin-username': '-me', 'os-type': 'Linux' }, /^admin-username: .* does not start with/],
    [{ 'admin-password': 'Sh0rt' }, /^admin-password: must have 6 to 123 characters in Azure; it has 5/],
    [{ 'admin-password': 'lowercase only' }, /^admin-password: must have three of: .* it has 2/],
    [{ 'admin-password': 'P@ssw0rd' }, /^admin-password: is one of the well-known passwords/],
    [
      { 'admin-password': 'Abc-123', 'os-type': 'Windows' },
      /^admin-password: must have 8 to 123 characters on Windows/,
    ],
    [{ 'admin-password': `A1-${'x'.repeat(70)}`, 'os-type': 'Linux' }, /^admin-password: must have 6 to 72/],
    [{ 'ssh-public-key': 'AAAA' }, /^ssh-public-key: "AAAA" does not start with ssh-rsa/],
    [
      { 'ssh-public-key': 'ecdsa-sha2-nistp256 AAAA' },
      /^ssh-public-key: .* is of type ecdsa-sha2-nistp256: Azure takes/,
    ],
    [{ 'ssh-public-key': `${ed25519}, ssh-rsa AAAA` }, /^ssh-public-key: "ssh-rsa AAAA" is damaged/],
    [
      { 'ssh-public-key': `${ed25519},ecdsa-sha2-nistp256 AAAA me` },
      /^ssh-public-key: "ecdsa-sha2-nistp256 AAAA me" is of type/,
    ],
    [{ 'ssh-public-key': 'ssh-ed25519 AAAA' }, /^ssh-public-key: .* is damaged/],
    [
      { 'ssh-public-key': `ssh-rsa ${wire('ssh-ed25519', Buffer.alloc(32))}` },
      /^ssh-public-key: .* holds another type/,
    ],
    [{ 'ssh-public-key': `ssh-ed25519 ${wire('ssh-ed25519', Buffer.alloc(31))}` }, /^ssh-public-key: .* 32 bytes/],
    [{ 'ssh-public-key': `ssh-rsa ${wire('ssh-rsa', Buffer.of(1, 0, 1))}` }, /^ssh-public-key: .* modulus/],
    [
      { 'ssh-public-key': `ssh-rsa ${wire('ssh-rsa', Buffer.of(3), Buffer.alloc(128, 255))}` },
      /^ssh-public-key: .* has 1024 bits/,
    ],
    [{ 'ssh-public-key': ed25519, 'os-type': 'Windows' }, /^ssh-public-key: is for Linux images/],
    [{ 'computer-name': 'web_1' }, /^computer-name: /],
    [{ 'computer-name': 'sixteen-letters-', 'os-type': 'Linux' }, /^computer-name: .* at both ends/],
    [{ 'computer-name': 'sixteen-letters1', 'os-type': 'Windows' }, /^computer-name: .* on Windows is 15/],
    [{ 'computer-name': '12345', 'os-type': 'Windows' }, /^computer-name: "12345" is all digits/],
    [{ 'os-type': 'BSD' }, /^os-type: "BSD" is none of: Linux, Windows\.$/],
    [{ 'os-disk-size-gb': '30.5' }, /^os-disk-size-gb: .* whole number from 1 to 4095/],
    [{ 'os-disk-type': 'UltraSSD_LRS' }, /^os-disk-type: .* is none of/],
    [{ 'custom-data': 'x'.repeat(65_536) }, /^custom-data: has 65536 bytes; the limit is 65535/],
    [{ 'user-data': 'x'.repeat(65_537) }, /^user-data: has 65537 bytes/],
    [{ 'security-type': 'secure' }, /^security-type: .* is none of: Standard, TrustedLaunch, ConfidentialVM/],
    [{ identity: 'id' }, /^identity: "id" is neither system/],
    [{ identity: 'UserAssigned' }, /^identity: "UserAssigned" is a type in ARM templates/],
    [{ identity: 'none' }, /^identity: "none" is a type in ARM templates/],
    [
      { identity: nicId },
      /^identity: .* nor the ID of a resource of type Microsoft\.ManagedIdentity\/userAssignedIdentities/,
    ],
    [{ 'role-assignments': `Reader on ${group}` }, /^role-assignments: needs an identity/],
    [
      { identity: 'system', 'role-assignments': 'Reader' },
      /^role-assignments: "Reader" is not of the form ROLE on SCOPE/,
    ],
    [
      { identity: 'system', 'role-assignments': 'Reader on registry' },
      /^role-assignments: .* not a full Resource Manager ID/,
    ],
    [
      {
        identity: 'system',
        'role-assignments': `/providers/Microsoft.Authorization/roleDefinitions/x on ${group}`,
      },
      /^role-assignments: .* not the ID of a role definition/,
    ],
    [{ 'run-script-parameters': 'a: b' }, /^run-script-parameters: cannot be used here: there is no run-script/],
    [{ 'run-script-secrets': 'a: bcdef' }, /^run-script-secrets: cannot be used here: there is no run-script/],
    [{ 'run-script': 'x', 'run-script-timeout-minutes': '91' }, /^run-script-timeout-minutes: .* to 90/],
    [{ 'run-script': 'x', 'run-script-parameters': 'a-b: c' }, /^run-script-parameters: "a-b" is not a name/],
    [{ 'run-script': 'x', 'run-script-secrets': 'a-b: c' }, /^run-script-secrets: the name of entry 1 is not a name/],
    [{ 'run-script': 'x', 'run-script-secrets': 'a: ' }, /^run-script-secrets: the value of "a" is empty/],
    [
      { 'run-script': 'x', 'run-script-parameters': 'a: b', 'run-script-secrets': 'A: c' },
      /^run-script-secrets: "A" is also in/,
    ],
    [{ 'run-script': 'x', 'wait-for': 'accepted' }, /^wait-for: "accepted" ends before the VM runs/],
    [{ 'address-prefix': '10.0.0.0' }, /^address-prefix: "10.0.0.0" is not an IPv4 prefix/],
    [{ 'address-prefix': 'fd00::/48' }, /^address-prefix: .*IPv6 can be added through overrides/],
    [{ 'address-prefix': '0.0.0.0/1' }, /^address-prefix: .* Azure takes \/2 to \/29/],
    [{ 'subnet-prefix': '192.168.1.0/30' }, /^subnet-prefix: .* Azure takes \/2 to \/29/],
    [{ 'subnet-prefix': '192.168.1.5/24' }, /^subnet-prefix: .* 192\.168\.1\.0\/24 does/],
    [
      { 'subnet-prefix': '10.0.0.0/24' },
      /^subnet-prefix: 10.0.0.0\/24 does not lie within address-prefix 192.168.0.0\/16/,
    ],
    [{ 'address-prefix': '10.0.0.0/16' }, /^subnet-prefix: 192.168.1.0\/24 does not lie within address-prefix/],
    [
      { 'address-prefix': '168.0.0.0/8', 'subnet-prefix': '168.1.0.0/24' },
      /^address-prefix: .* overlaps 168\.63\.129\.16\/32/,
    ],
    [{ 'subnet-id': nicId }, /^subnet-id: .* of type Microsoft\.Network\/virtualNetworks\/subnets/],
    [{ 'subnet-id': 'default' }, /^subnet-id: "default" is not the ID/],
    [
      { 'subnet-id': subnetId, 'address-prefix': '10.0.0.0/16' },
      /^address-prefix: cannot be used here: with subnet-id/,
    ],
    [
      { 'subnet-id': subnetId, 'subnet-prefix': '192.168.2.0/24' },
      /^subnet-prefix: cannot be used here: with subnet-id/,
    ],
    [{ 'nic-id': subnetId }, /^nic-id: .* of type Microsoft\.Network\/networkInterfaces/],
    [{ 'nic-id': nicId, 'public-ip': 'false' }, /^public-ip: cannot be used here: with nic-id/],
    [{ 'nic-id': nicId, 'accelerated-networking': 'true' }, /^accelerated-networking: cannot be used here/],
    [{ 'network-security-group-id': subnetId }, /^network-security-group-id: /],
    [{ 'network-security-group-id': nsgId, 'allow-inbound': '22 from *' }, /^allow-inbound: cannot be used here/],
    [{ 'public-ip': 'yes' }, /^public-ip: "yes" is none of: true, false, or the ID/],
    [{ 'public-ip': nsgId }, /^public-ip: .* of type Microsoft\.Network\/publicIPAddresses/],
    [{ 'public-ip': 'false', 'dns-label': 'abc' }, /^dns-label: cannot be used here/],
    [{ 'public-ip': publicIpId, 'dns-label': 'abc' }, /^dns-label: cannot be used here/],
    [{ 'dns-label': 'My-VM' }, /^dns-label: "My-VM" is not 3 to 63 lower-case/],
    [{ 'dns-label': 'ab' }, /^dns-label: /],
    [{ 'allow-inbound': '22' }, /^allow-inbound: "22" is not of the form/],
    [{ 'allow-inbound': 'ssh from *' }, /^allow-inbound: .* is not of the form/],
    [{ 'allow-inbound': '22/icmp from *' }, /^allow-inbound: .* is not of the form/],
    [{ 'allow-inbound': '70000 from *' }, /^allow-inbound: .* above 65535/],
    [{ 'allow-inbound': '90-80 from *' }, /^allow-inbound: .* write 80-90/],
    [{ 'allow-inbound': '22 from 203.0.113.0/33' }, /^allow-inbound: .* not an address, CIDR, service tag/],
    [{ 'allow-inbound': '22 from 203.0.113' }, /^allow-inbound: .* not an address/],
    [{ 'allow-inbound': '22 from any' }, /^allow-inbound: .* or \*/],
    [{ 'accelerated-networking': '1' }, /^accelerated-networking: /],
    [{ 'private-ip-address': '192.168.1.3' }, /^private-ip-address: .* keeps the first four and the last/],
    [{ 'private-ip-address': '192.168.1.255' }, /^private-ip-address: /],
    [{ 'private-ip-address': '192.168.2.4' }, /^private-ip-address: /],
    [{ 'private-ip-address': 'fd00::4' }, /^private-ip-address: .* not an IPv4 address/],
    [{ overrides: 'disk: {}' }, /^overrides: "disk" is none of: vm, nic, vnet, nsg, public-ip/],
    [{ overrides: 'vm: 1' }, /^overrides: vm: is not an object/],
    [{ 'subnet-id': subnetId, overrides: 'vnet: {}' }, /^overrides: vnet: the action makes none/],
    [{ 'public-ip': 'false', overrides: 'public-ip: {}' }, /^overrides: public-ip: the action makes none/],
    [{ 'nic-id': nicId, overrides: 'nic: {}' }, /^overrides: nic: the action makes none/],
  ])('%j', (given, expected) => {
    const issues = issuesOf(given);
    expect(issues).toEqual([expect.stringMatching(expected)]);
  });

  test('one expiry tag more leaves one tag less to the user', () => {
    const tags = Array.from({ length: 39 }, (_, n) => `t${n}: v`).join('\n');
    expect(Object.keys(readDeployment({ tags }).tags)).toHaveLength(39);
    expect(issuesOf({ tags, 'expires-after': 'PT1H' })).toHaveLength(1);
  });

  test('a value equal to its default contradicts nothing', () => {
    const given: Given = {
      'nic-id': nicId,
      'address-prefix': '192.168.0.0/16',
      'public-ip': 'True',
      'accelerated-networking': 'FALSE',
      'max-price': '-1',
      'eviction-policy': 'delete',
    };
    expect(readDeployment(given).network.kind).toBe('given-nic');
  });

  test.each<[string, Given]>([
    ['a number that is written otherwise', { 'max-price': '-1.0' }],
    ['empty maps', { 'run-script-parameters': '{}', 'run-script-secrets': ' {} \n' }],
    ['maps of comments', { tags: '# none yet\n', 'run-script-parameters': '# none', overrides: '\n# vm: {}\n' }],
  ])('%s is as good as nothing', (_, given) => {
    expect(readDeployment(given)).toEqual(readDeployment({}));
  });

  test('an interface rules out every other input of the network', () => {
    const issues = issuesOf({
      'nic-id': nicId,
      'address-prefix': '10.0.0.0/16',
      'subnet-prefix': '10.0.0.0/24',
      'subnet-id': subnetId,
      'network-security-group-id': nsgId,
      'public-ip': publicIpId,
      'dns-label': 'abc',
      'allow-inbound': '22 from *',
      'accelerated-networking': 'true',
      'private-ip-address': '10.0.0.4',
    });
    expect(issues).toHaveLength(9);
  });

  test('all of them come in one error, in the order of action.yml', () => {
    const { message, issues } = refusal({
      ...least,
      'private-ip-address': 'x',
      'tenant-id': '',
      tags: 'a/b: c',
      'vm-name': 'my_vm',
      'admin-password': 'hunter2',
    });
    expect(issues.map(({ input }) => input)).toEqual([
      'tenant-id',
      'tags',
      'vm-name',
      'admin-password',
      'private-ip-address',
    ]);
    expect(message).toMatch(/^5 invalid inputs. No request was sent to Azure.\n- tenant-id: is required/);
    expect(message).not.toContain('hunter2');
  });

  test('an unknown operation is not taken for create', () => {
    const { issues } = refusal({ ...least, operation: 'remove', 'image-id': '', 'resource-group': '' });
    expect(issues.map(({ input }) => input)).toEqual(['operation', 'resource-group']);
  });

  test('the text of secrets is not quoted, not even where it cannot be parsed', () => {
    const { message } = refusal({
      ...least,
      'run-script': 'x',
      'run-script-secrets': 'token: "s3cret-value\n  - x: [',
    });
    expect(message).toContain('run-script-secrets: is neither YAML nor JSON');
    expect(message).not.toContain('s3cret');
  });
});

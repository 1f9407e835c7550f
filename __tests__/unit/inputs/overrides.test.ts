import { describe, expect, test } from '@jest/globals';
import { reservedTags } from '../../../src/inputs/overrides.ts';
import { ownershipTags } from '../../../src/deployment/ownership.ts';
import { nicId, readDeployment, issuesOf } from '../../support/read-inputs.ts';

describe('overrides', () => {
  test.each([
    ['vm', { location: 'eastus' }, 'location'],
    ['vm', { Name: 'other' }, 'name'],
    ['nic', { id: null }, 'id'],
    ['nsg', { type: 'x' }, 'type'],
    ['vm', { properties: { storageProfile: { imageReference: { id: 'x' } } } }, 'imageReference'],
    ['vm', { properties: { StorageProfile: { ImageReference: null } } }, 'imageReference'],
    ['vm', { properties: { storageProfile: { osDisk: { name: 'x' } } } }, 'osDisk.name'],
    ['vm', { properties: { storageProfile: { osDisk: { managedDisk: { id: 'x' } } } } }, 'managedDisk.id'],
    ['vm', { properties: { networkProfile: { networkInterfaces: [] } } }, 'networkInterfaces'],
    ['vm', { properties: { networkProfile: null } }, 'networkInterfaces'],
    ['vm', { tags: { 'Cross-Tenant-VM': 'x' } }, 'tag Cross-Tenant-VM'],
    ['public-ip', { tags: { cleanup: null } }, 'tag cleanup'],
    ['vnet', { tags: null }, 'tags cannot be replaced as a whole'],
    ['vnet', { properties: { subnets: [{ name: 'other' }] } }, 'the subnet named default'],
  ])('%s may not be patched with %j', (target, patch, part) => {
    const issues = issuesOf({ overrides: JSON.stringify({ [target]: patch }) });
    expect(issues).toEqual([expect.stringContaining(`overrides: ${target}: `)]);
    expect(issues[0]).toContain(part);
  });

  test('what would remove several guaranteed parts is refused for each', () => {
    expect(issuesOf({ overrides: 'vm: {"properties": null}' }).length).toBeGreaterThan(4);
  });

  test('are all refused at once', () => {
    const patches = { vm: { location: 'eastus' }, nic: { name: 'mine' }, 'public-ip': { tags: null }, disk: {} };
    expect(issuesOf({ overrides: JSON.stringify(patches) })).toEqual(
      ['vm: location', 'nic: name', 'public-ip: tags', '"disk" is none of'].map((part) =>
        expect.stringContaining(part),
      ),
    );
  });

  test.each([
    ['vm', { properties: { osProfile: { secrets: [] }, storageProfile: { osDisk: { caching: 'None' } } } }],
    ['vm', { properties: { storageProfile: { dataDisks: [{ lun: 0 }] } }, tags: { mine: 'x' } }],
    ['vnet', { properties: { subnets: [{ name: 'default', properties: {} }], enableDdosProtection: true } }],
    ['nic', { properties: { dnsSettings: { dnsServers: ['10.0.0.4'] } } }],
  ])('%s may be patched with %j', (target, patch) => {
    expect(readDeployment({ overrides: JSON.stringify({ [target]: patch }) }).overrides).toEqual({
      [target]: patch,
    });
  });

  test('a given interface may be joined by others, but not left out or deleted', () => {
    const withInterfaces = (...networkInterfaces: readonly object[]) => ({
      'nic-id': nicId,
      overrides: JSON.stringify({ vm: { properties: { networkProfile: { networkInterfaces } } } }),
    });
    const other = { id: `${nicId}2` };
    const given = { id: nicId.toUpperCase(), properties: { primary: true } };
    expect(readDeployment(withInterfaces(given, other)).overrides.vm).toBeDefined();
    expect(issuesOf(withInterfaces(other))).toEqual([expect.stringContaining('must contain nic-id')]);
    const deleted = { id: nicId, properties: { deleteOption: 'Delete' } };
    expect(issuesOf(withInterfaces(deleted))).toEqual([expect.stringContaining('deleted with the VM')]);
  });

  test('guard every tag that marks a resource as made by the action', () => {
    const run = {
      serverUrl: '',
      repository: '',
      runId: '',
      runAttempt: '',
      job: '',
      action: '',
      workflow: '',
      sha: '',
      actor: '',
    };
    expect(Object.keys(ownershipTags(run, 'vm', 'never', new Date(0)))).toEqual(reservedTags);
  });
});

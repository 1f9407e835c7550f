import { describe, expect, test } from '@jest/globals';
import { parseImageReference } from '../../../src/azure/resource-id.ts';
import { renderSummary } from '../../../src/summary/render-summary.ts';
import { requestLine, resultLine } from '../../../src/summary/status.ts';
import { summaryFacts } from '../../support/summary-facts.ts';
import { definitionId, deployInputs } from '../../support/values.ts';

describe('the first line of the log', () => {
  const requested = { ...deployInputs, subscriptionId: 'sub', location: 'westeurope' };
  const { subscriptionId: _, location: __, ...least } = requested;
  const image = parseImageReference(definitionId);
  test.each([
    ['create', requested, 'Deploying vm1 to deploy-tenant / sub / rg, westeurope, image 1.2.3'],
    [
      'create',
      { ...least, ...(image ? { image } : {}) },
      'Deploying vm1 to deploy-tenant / rg, image linux, newest version',
    ],
    ['check', requested, 'Checking the deployment of vm1 to deploy-tenant / sub / rg, westeurope, image 1.2.3'],
  ] as const)('of %s names the target', (operation, inputs, line) => {
    expect(requestLine(operation, inputs)).toBe(line);
  });

  test('of delete and sweep names the resource group', () => {
    const { image: ___, ...other } = requested;
    expect(requestLine('delete', other)).toBe('Deleting vm1 from deploy-tenant / sub / rg, westeurope');
    expect(requestLine('sweep', other)).toMatch(/^Sweeping deploy-tenant \/ sub \/ rg/);
  });
});

describe('the last line of the log', () => {
  test('ends with the SSH command of a Linux VM', () => {
    const facts = summaryFacts();
    const line = 'Ready in 16 s: vm1 (Standard_D2s_v5, westeurope, image 1.2.3) at 198.51.100.7. Connect:';
    const outputs = { ...facts.outputs, location: 'westeurope', 'ssh-command': 'ssh -i key azureuser@198.51.100.7' };
    expect(resultLine({ ...facts, outputs })).toBe(`${line} ssh azureuser@198.51.100.7`);
    const withKey = { ...outputs, 'ssh-private-key-path': 'key' };
    expect(resultLine({ ...facts, outputs: withKey })).toBe(`${line} ${outputs['ssh-command']}`);
  });

  test('does not call an accepted VM ready', () => {
    const facts = summaryFacts({ waitFor: 'accepted' });
    expect(resultLine({ ...facts, outputs: { 'vm-size': 'Standard_D2s_v5' } })).toBe(
      'Accepted in 16 s: vm1 (Standard_D2s_v5)',
    );
  });

  test('calls an existing VM ready only if its agent was asked', () => {
    const facts = { ...summaryFacts(), adopted: true };
    expect(resultLine(facts)).toMatch(/^Kept in 16 s: vm1 /);
    expect(resultLine({ ...facts, ...summaryFacts({ waitFor: 'agent' }) })).toMatch(/^Ready in /);
    expect(resultLine({ ...facts, outputs: { 'script-exit-code': '0' } })).toMatch(/^Ready in /);
  });

  test('says whether a VM is a Spot VM', () => {
    const facts = summaryFacts();
    const outputs = { ...facts.outputs, spot: 'true' };
    expect(resultLine({ ...facts, outputs })).toContain('vm1 (Standard_D2s_v5 (Spot), ');
    expect(renderSummary({ ...facts, outputs })).toContain('Standard&#95;D2s&#95;v5 (Spot) · ');
  });

  test('says what was deleted', () => {
    expect(resultLine({ ...summaryFacts(), operation: 'delete', outputs: { deleted: '["/a"]' } })).toBe(
      'vm1 deleted (16 s)',
    );
  });
});

describe('the lifetime of the VM', () => {
  test('is shown when the job deletes it or it expires', () => {
    expect(renderSummary(summaryFacts({ cleanup: 'always' }))).toContain('Deleted when the job ends.');
    const facts = summaryFacts();
    const plan = facts.plan && { ...facts.plan, tags: { 'expires-on': '2026-11-28T23:15:00.000Z' } };
    expect(renderSummary({ ...facts, ...(plan ? { plan } : {}) })).toContain('Expires 28 Nov 2026 23:15 UTC');
  });

  test('decides how the generated key can be replaced', () => {
    const withKey = (cleanup: 'always' | 'on-failure') => {
      const facts = summaryFacts({ cleanup });
      return renderSummary({ ...facts, outputs: { ...facts.outputs, 'ssh-private-key-path': '/t/id_rsa' } });
    };
    expect(withKey('on-failure')).toMatch(/az vm user update [\s\S]*--username azureuser --ssh-key-value/);
    expect(withKey('always')).not.toContain('az vm user update');
  });
});

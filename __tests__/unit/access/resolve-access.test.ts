import { describe, expect, test } from '@jest/globals';
import { assignmentName, uuid5 } from '../../../src/access/role-definitions.ts';

const registry =
  '/subscriptions/2b3f7d3f-6e1f-4d2c-8b64-7a1a1d0a2f02/resourceGroups/rg/providers/Microsoft.ContainerRegistry/registries/r';
const acrPull = '7f951dda-4ed3-4680-a7ca-43fe172d538d';
const definition = `/subscriptions/2b3f7d3f-6e1f-4d2c-8b64-7a1a1d0a2f02/providers/Microsoft.Authorization/roleDefinitions/${acrPull}`;
const principal = 'de46396d-0101-4c56-95a0-4daa96936d76';

describe('names of role assignments', () => {
  test('are UUIDs of version 5, as the examples of the standards have them', () => {
    // RFC 9562, A.4; Python's documentation of the module uuid.
    const dns = '6ba7b810-9dad-11d1-80b4-00c04fd430c8';
    expect(uuid5(dns, 'www.example.com')).toBe('2ed6657d-e927-568b-95e1-2665a8aea6a2');
    expect(uuid5(dns, 'python.org')).toBe('886313e1-3b8a-5372-9b90-0c9aee199e5d');
  });

  const vm =
    '/subscriptions/2b3f7d3f-6e1f-4d2c-8b64-7a1a1d0a2f02/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/vm1';
  const nameOf = (
    scope = registry,
    roleDefinitionId = definition,
    principalId = principal,
    owner = [vm, 'https://github.com', 'contoso/deploy'],
  ) => assignmentName({ role: 'AcrPull', scope, roleDefinitionId }, principalId, owner);
  const name = nameOf();

  test('do not depend on the spelling of IDs, nor on where the definition was found', () => {
    expect(name).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const builtIn = `/providers/Microsoft.Authorization/roleDefinitions/${acrPull.toUpperCase()}`;
    for (const spelled of [
      nameOf(registry.toUpperCase()),
      nameOf(registry, builtIn),
      nameOf(registry, definition, principal.toUpperCase()),
      nameOf(registry, definition, principal, [vm.toUpperCase(), 'https://github.com', 'Contoso/Deploy']),
    ]) {
      expect(spelled).toBe(name);
    }
  });

  test('differ for another scope, role, principal or deployment', () => {
    const names = [
      name,
      nameOf(`${registry}2`),
      nameOf(registry, definition.replace(/8d$/, '8e')),
      nameOf(registry, definition, principal.replace(/6$/, '7')),
      nameOf(registry, definition, principal, [`${vm}2`, 'https://github.com', 'contoso/deploy']),
      nameOf(registry, definition, principal, [vm, 'https://github.com', 'contoso/other']),
    ];
    expect(new Set(names).size).toBe(names.length);
  });
});

import type { PipelinePolicy } from '@azure/core-rest-pipeline';
import { type MergePatch, mergePatch } from '../../lib/json.ts';

/**
 * Merges the author's overrides into the serialized body. It has to happen behind the SDK's serializers: they drop every
 * property that they do not know.
 */
export function mergePatchPolicy(patches: ReadonlyMap<string, MergePatch>): PipelinePolicy {
  return {
    name: 'mergePatchPolicy',
    sendRequest(request, next) {
      if (request.method !== 'PUT' || typeof request.body !== 'string') return next(request);
      // The SDK encodes names that the IDs of the plan have as they are.
      const patch = patches.get(decodeURIComponent(new URL(request.url).pathname).toLowerCase());
      if (patch) {
        request.body = JSON.stringify(mergePatch(JSON.parse(request.body), patch));
      }
      return next(request);
    },
  };
}

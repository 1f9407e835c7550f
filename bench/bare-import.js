/** Baseline for the start of the action: only loads the SDK clients that it uses. */
import { ComputeManagementClient } from '@azure/arm-compute';
import { NetworkManagementClient } from '@azure/arm-network';
import { createDefaultHttpClient } from '@azure/core-rest-pipeline';
import { ClientAssertionCredential, ClientCertificateCredential, ClientSecretCredential } from '@azure/identity';
import * as core from '@actions/core';

// Exported, so that no bundler removes one.
export const loaded = [
  ComputeManagementClient,
  NetworkManagementClient,
  createDefaultHttpClient,
  ClientAssertionCredential,
  ClientCertificateCredential,
  ClientSecretCredential,
  core.setOutput,
];

/** Loads the SDK clients that the action uses, and does nothing: the floor under its start. */
import { ComputeManagementClient } from '@azure/arm-compute';
import { NetworkManagementClient } from '@azure/arm-network';
import { createDefaultHttpClient } from '@azure/core-rest-pipeline';
import {
  ClientAssertionCredential,
  ClientCertificateCredential,
  ClientSecretCredential,
} from '@azure/identity';
import * as core from '@actions/core';

// Named, so that no bundler can leave one out.
export const loaded = [
  ComputeManagementClient,
  NetworkManagementClient,
  createDefaultHttpClient,
  ClientAssertionCredential,
  ClientCertificateCredential,
  ClientSecretCredential,
  core.setOutput,
];

import { setTimeScale } from './lib/clock.ts';
import { main } from './main.ts';
import { post } from './post-job.ts';
import { isPost, env } from './runner/environment.ts';

setTimeScale(env['CROSS_TENANT_VM_TIME_SCALE']);

// Not awaited: a top-level await in the entry costs start time in the bundle.
void (isPost ? post() : main());

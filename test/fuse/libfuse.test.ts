import { libfuseTransport } from '../../src/fuse/libfuse/libfuse-transport.ts';
import { describeWith } from '../support/machine.ts';
import { transportContract } from './transport-contract.ts';

describeWith(['root', 'fuse'], 'fuse-native transport (no interrupts, milliseconds)', () => {
  transportContract(libfuseTransport(), {
    interrupts: false,
    parallelLookups: false,
    nanoseconds: false,
    keepsPages: false,
  });
});

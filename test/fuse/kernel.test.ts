import { kernelTransport } from '../../src/fuse/kernel/kernel-transport.ts';
import { describeWith } from '../support/machine.ts';
import { transportContract } from './transport-contract.ts';

describeWith(['root', 'fuse'], 'kernel transport', () => {
  transportContract(kernelTransport(), {
    interrupts: true,
    parallelLookups: true,
    nanoseconds: true,
    keepsPages: true,
  });
});

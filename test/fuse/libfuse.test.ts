import { describe, expect, it, vi } from 'vitest';
import { silentLogger } from '../../src/base/log.ts';
import { libfuseTransport } from '../../src/fuse/libfuse/libfuse-transport.ts';
import { describeWith } from '../support/machine.ts';
import { MemoryFileSystem } from '../support/memory-file-system.ts';
import { transportContract } from './transport-contract.ts';

describeWith(['root', 'fuse'], 'fuse-native transport (no interrupts, milliseconds)', () => {
  transportContract(libfuseTransport(), {
    interrupts: false,
    parallelLookups: false,
    nanoseconds: false,
    keepsPages: false,
  });
});

describe('fuse-native transport without fuse-native', () => {
  it('says in one MOUNT_FAILED what is missing and what to do', async () => {
    vi.doMock('fuse-native', () => {
      throw new Error('Cannot find package');
    });
    const mounting = libfuseTransport().mount(new MemoryFileSystem({}), '/tmp', {
      fsName: 'x',
      logger: silentLogger(),
    });
    await expect(mounting).rejects.toMatchObject({
      code: 'MOUNT_FAILED',
      message: expect.stringMatching(/fuse-native is not installed.*npm install fuse-native/),
    });
    vi.doUnmock('fuse-native');
  });
});

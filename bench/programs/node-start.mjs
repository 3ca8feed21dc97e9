/** A program that needs some of this project's own dependencies, and says when it has them. */
const modules = ['express', 'kubo-rpc-client', 'undici', 'pino', 'commander', 'ipns', '@ipld/car', 'fast-check'];
await Promise.all(modules.map((name) => import(name)));
console.log('ready');
process.exit(0);

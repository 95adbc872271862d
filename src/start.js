import { setFlagsFromString } from 'node:v8';

// Plain JavaScript on purpose: an old Node could not even parse the TypeScript behind it.
const major = Number(process.versions.node.split('.')[0]);
if (major < 24) {
  console.error(
    `Fairlead needs Node 24 or later, this is ${process.versions.node}. ` +
      '"npm ci && npm start" brings its own on Linux x64; elsewhere install Node 24.',
  );
  process.exit(1);
}
// After a flood of log lines the heap would else grow to four times what is in use before it is cleared.
setFlagsFromString('--heap-growing-percent=50');
const { useStripped } = await import('./stripped.js');
useStripped();
const { startServer } = await import('./server.ts');
await startServer(process.env);

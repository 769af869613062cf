// Verifies the tokens on standard input with jose, and names those whose verdict is not the expected one.
import { readFileSync } from 'node:fs';
import { load } from './packages.mjs';

const { createLocalJWKSet, jwtVerify } = await load('jose');
const { keySet, tokens } = JSON.parse(readFileSync(0, 'utf8'));
const keys = createLocalJWKSet(keySet);
const wrong = [];
for (const { name, token, good } of tokens) {
  const verified = await jwtVerify(token, keys).then(() => true, () => false);
  if (verified !== good) wrong.push(name);
}
console.log(JSON.stringify({ verified: tokens.length, wrong }));

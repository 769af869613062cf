// Verifies each token on standard input with jose and the rules that its entry selects. Prints its subject, or why it is refused.
import { readFileSync } from 'node:fs';
import { load } from './packages.mjs';

const { createLocalJWKSet, jwtVerify } = await load('jose');
const { rules, tokens } = JSON.parse(readFileSync(0, 'utf8'));
const judges = rules.map(({ keySet, secret, options }) => ({
  keys: secret ? new TextEncoder().encode(secret) : createLocalJWKSet(keySet),
  options,
}));

async function judged(token, keys, options) {
  try {
    const { payload } = await jwtVerify(token, keys, options);
    // JSON cannot carry half of a surrogate pair.
    return { refused: null, sub: payload.sub?.isWellFormed?.() ? payload.sub : null };
  } catch (error) {
    return { refused: `${error.code ?? error.name}: ${error.message}`, error };
  }
}

const verdicts = [];
for (const { by, now, token } of tokens) {
  const { keys, options } = judges[by];
  const at = { ...options, currentDate: new Date(now * 1000) };
  let verdict = await judged(token, keys, at);
  // A token without a key id is tried with each matching key, as the documentation of createLocalJWKSet shows.
  if (verdict.error?.code === 'ERR_JWKS_MULTIPLE_MATCHING_KEYS') {
    for await (const key of verdict.error) {
      verdict = await judged(token, key, at);
      if (verdict.error?.code !== 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED') break;
    }
  }
  delete verdict.error;
  verdicts.push(verdict);
}
console.log(JSON.stringify(verdicts));

// Prints whether a JSON Schema of draft 2020-12 accepts each of the documents (JSON on standard input).
import { readFileSync } from 'node:fs';

const HOME = new URL('../../build/manifests/node_modules/', import.meta.url);
const { default: ajv } = await import(new URL('ajv/dist/2020.js', HOME));

const { schema, documents } = JSON.parse(readFileSync(0, 'utf8'));
const accepts = new ajv.default({ strict: false }).compile(schema);
console.log(JSON.stringify(documents.map((document) => accepts(document))));

// Validates Kubernetes objects (JSON on standard input) against the schemas of their CRDs, and finds unknown fields.
import { readFileSync } from 'node:fs';

const PACKAGES = {
  'extensions.istio.io': '@kubernetes-models/istio',
  'networking.istio.io': '@kubernetes-models/istio',
  'gateway.networking.k8s.io': '@kubernetes-models/gateway-api',
  'gateway.envoyproxy.io': '@kubernetes-models/envoy-gateway',
};
const HOME = new URL('../../build/manifests/node_modules/', import.meta.url);

async function model({ apiVersion, kind }) {
  const name = `${PACKAGES[apiVersion.split('/')[0]]}/${apiVersion}/${kind}`;
  try {
    return (await import(new URL(`${name}.js`, HOME)))[kind];
  } catch (error) {
    console.error(`no schema ${name} (${error.code ?? error.message}): run \`make manifests\``);
    process.exit(1);
  }
}

// The schemas accept unknown fields. Their validators read every field that they know, so a field that was never read
// is unknown.
function watched(value, path, unread) {
  if (typeof value !== 'object' || value === null) return value;
  const children = new Map();
  for (const key of Object.keys(value)) {
    const place = `${path}.${key}`;
    children.set(key, watched(value[key], place, unread));
    if (!Array.isArray(value)) unread.add(place);
  }
  return new Proxy(value, {
    get(target, key) {
      unread.delete(`${path}.${String(key)}`);
      return children.has(key) ? children.get(key) : target[key];
    },
  });
}

const { objects, free } = JSON.parse(readFileSync(0, 'utf8'));
const faults = [];
for (const object of objects) {
  const name = `${object.kind} ${object.metadata.name}`;
  const unread = new Set();
  try {
    // This validates the object itself. A model built from it would be a copy, and the copying would read every field.
    (await model(object)).prototype.validate.call(watched(object, '', unread));
  } catch (error) {
    faults.push(`${name}: ${error.message ?? error}`);
  }
  const inside = (place) => free.some((path) => new RegExp(`^${path}\\.`).test(place));
  for (const place of unread) if (!inside(place)) faults.push(`${name}: unknown field ${place.slice(1)}`);
}
console.log(JSON.stringify({ checked: objects.length, faults }));

// Lets known tenants order: a request says in `x-tenant` whose it is, an order is a JSON object with
// a quantity, and the response tells who checked it.
import './console.js';

const NEXT = { tag: 'next' };
const SCHEMA = {
  type: 'object',
  properties: {
    tenants: { type: 'array', items: { type: 'string' }, description: 'Who may order.' },
    most: { type: 'integer', minimum: 1, default: 100, description: 'The largest quantity.' },
  },
  required: ['tenants'],
  additionalProperties: false,
};

const encoder = new TextEncoder();
const lenient = new TextDecoder();
const strict = new TextDecoder('utf-8', { fatal: true });

// Of the configuration, which an instance is given once. Nothing of a request may stand here: the
// next hook of the same request may meet another instance.
let tenants;
let most;

export const hooks = {
  describe() {
    return {
      name: 'orders',
      version: '0.1.0',
      sdk: 'componentize-js 0.23.0',
      configSchema: JSON.stringify(SCHEMA),
    };
  },

  configure(text) {
    const config = JSON.parse(text);
    const wrong = problems(config);
    if (wrong.length > 0) throw wrong;
    tenants = new Set(config.tenants);
    most = config.most ?? SCHEMA.properties.most.default;
    return {
      hooks: { request: true, response: true },
      requestParts: {},
      requestFields: ['x-tenant'],
      responseFields: [],
      attributes: [],
      requestBody: { tag: 'buffered', val: 65536n },
      responseBody: { tag: 'none' },
      everyRequest: [],
      everyResponse: [],
      neverWaits: true,
    };
  },

  onRequest({ fields: [field] }) {
    if (field === undefined) {
      const challenge = { name: 'www-authenticate', value: encoder.encode('Tenant') };
      return refuse(401, 'Unauthorized', 'x-tenant is missing', [challenge]);
    }
    const tenant = lenient.decode(field);
    if (!tenants.has(tenant)) {
      console.info(`refused: ${tenant} is no tenant`);
      return refuse(403, 'Forbidden', 'this tenant may not order');
    }
    return { tag: 'change', val: requestChange(field) };
  },

  onRequestBody(body, context) {
    let order;
    try {
      order = JSON.parse(strict.decode(body));
    } catch {
      return refuse(400, 'Bad Request', 'the body is not JSON');
    }
    if (!(Number.isInteger(order?.quantity) && order.quantity >= 1 && order.quantity <= most)) {
      return refuse(422, 'Unprocessable Content', `quantity must be an integer from 1 to ${most}`);
    }
    order.tenant = lenient.decode(context);
    order.checked = [...(order.checked ?? []), 'javascript'];
    const changed = encoder.encode(JSON.stringify(order));
    return { tag: 'change', val: { body: changed, head: requestChange() } };
  },

  onResponse(_response, context) {
    const value = encoder.encode(`javascript for ${lenient.decode(context)}`);
    const fields = [
      { tag: 'remove', val: 'server' },
      { tag: 'append', val: { name: 'x-checked-by', value } },
    ];
    return { tag: 'change', val: { fields } };
  },

  // Not called, since the interest does not ask for them, but part of the interface.
  onRequestChunk: () => NEXT,
  onResponseBody: () => NEXT,
  onResponseChunk: () => NEXT,
  onComplete() {},
};

function problems(config) {
  const wrong = [];
  const names = config.tenants;
  if (!Array.isArray(names) || !names.every((name) => typeof name === 'string')) {
    wrong.push({ pointer: '/tenants', message: 'a list of names is needed' });
  }
  if (config.most !== undefined && !(Number.isInteger(config.most) && config.most >= 1)) {
    wrong.push({ pointer: '/most', message: 'an integer from 1 is needed' });
  }
  const known = Object.keys(SCHEMA.properties);
  for (const key of Object.keys(config).filter((key) => !known.includes(key))) {
    wrong.push({ pointer: `/${key}`, message: `unknown field \`${key}\`` });
  }
  return wrong;
}

// Options may be left out, lists may not.
function requestChange(context) {
  return { fields: [], attributes: [], responseFields: [], context };
}

// A problem document (RFC 9457).
function refuse(status, title, detail, fields = []) {
  const type = { name: 'content-type', value: encoder.encode('application/problem+json') };
  const body = encoder.encode(JSON.stringify({ type: 'about:blank', title, status, detail }));
  return { tag: 'respond', val: { status, fields: [type, ...fields], body } };
}

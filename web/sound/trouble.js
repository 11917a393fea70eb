// What went wrong and has a sentence of its own: `trouble.KEY` in strings.json.
export class Trouble extends Error {
  constructor(key, values = {}) {
    super(key);
    Object.assign(this, { key, values });
  }
}

// Errors cross from a worker to the page as plain objects
export const plain = (error) =>
  error instanceof Trouble ? { key: error.key, values: error.values } : { key: "unknown", values: { detail: String(error) } };

/**
 * A copy of a graph of plain objects, maps, sets and lists; what is shared in it, or leads back into it, does so in the copy too.
 * Functions and objects of classes are the same ones in both.
 */
export const copyOf = <T>(value: T): T => copied(value, new Map<object, object>()) as T;

const copied = (value: unknown, seen: Map<object, object>): unknown => {
  if (typeof value !== 'object' || value === null) return value;
  const known = seen.get(value);
  if (known !== undefined) return known;
  if (Array.isArray(value)) {
    const list: unknown[] = [];
    seen.set(value, list);
    for (const item of value) list.push(copied(item, seen));
    return list;
  }
  if (value instanceof Map) {
    const map = new Map<unknown, unknown>();
    seen.set(value, map);
    for (const [key, item] of value) map.set(copied(key, seen), copied(item, seen));
    return map;
  }
  if (value instanceof Set) {
    const set = new Set<unknown>();
    seen.set(value, set);
    for (const item of value) set.add(copied(item, seen));
    return set;
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  const object: Record<string, unknown> = {};
  seen.set(value, object);
  for (const [key, item] of Object.entries(value)) object[key] = copied(item, seen);
  return object;
};

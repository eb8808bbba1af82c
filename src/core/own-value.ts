/**
 * Returns the own value of `record` under `key`. An untrusted key may name an inherited member, such as `constructor`.
 */
export function ownValue<T>(record: Readonly<Record<string, T>>, key: string): T | undefined {
	return Object.hasOwn(record, key) ? record[key] : undefined;
}

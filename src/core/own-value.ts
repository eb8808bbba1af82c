/**
 * What `record` itself has under `key`. Keys from elsewhere may be called as what every object inherits, such as
 * `constructor`.
 */
export function ownValue<T>(record: Readonly<Record<string, T>>, key: string): T | undefined {
	return Object.hasOwn(record, key) ? record[key] : undefined;
}

/**
 * The own value of `record` under `key`. A foreign key may have the name of an inherited member, such as `constructor`.
 */
export function ownValue<T>(record: Readonly<Record<string, T>>, key: string): T | undefined {
	return Object.hasOwn(record, key) ? record[key] : undefined;
}

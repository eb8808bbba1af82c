/** The code that the file system or the network gives an error, such as `ENOENT`; undefined where it has none. */
export function codeOf(error: unknown): string | undefined {
	return error instanceof Error && "code" in error ? String(error.code) : undefined;
}

/** True where there is no such file. */
export function isMissing(error: unknown): boolean {
	return codeOf(error) === "ENOENT";
}

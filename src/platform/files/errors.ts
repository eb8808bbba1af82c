/** Returns the code of a file system or network error, such as `ENOENT`; undefined without one. */
export function codeOf(error: unknown): string | undefined {
	return error instanceof Error && "code" in error ? String(error.code) : undefined;
}

/** True if the error says that the file does not exist. */
export function isMissing(error: unknown): boolean {
	return codeOf(error) === "ENOENT";
}

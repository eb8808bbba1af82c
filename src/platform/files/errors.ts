/** The code of an error of the file system or the network, such as `ENOENT`; undefined without one. */
export function codeOf(error: unknown): string | undefined {
	return error instanceof Error && "code" in error ? String(error.code) : undefined;
}

/** Does the error say that there is no such file? */
export function isMissing(error: unknown): boolean {
	return codeOf(error) === "ENOENT";
}

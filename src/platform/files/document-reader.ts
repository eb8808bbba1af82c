import { basename } from "node:path";
import type * as z from "zod/mini";
import {
	newerThanUs,
	PASSING_CODES,
	readDocument,
	readNow,
	reportOnce,
	signatureOf,
	unreadableFor,
} from "./document-file.ts";
import { codeOf } from "./errors.ts";
import type { SharedDocument, SharedDocumentOptions } from "./shared-document.ts";

/** Thrown on any attempt to change a document opened by {@link openDocumentReader}. */
class ReadOnlyError extends Error {
	readonly code = "EREADER";
	constructor(name: string) {
		super(`${name} is only read here`);
		this.name = "ReadOnlyError";
	}
}

/**
 * Opens a shared document for a program that changes nothing. It takes no lock, leaves a broken file in place, and
 * reads an older version as it would be after a write. Reports each problem once, and refuses changes.
 */
export function openDocumentReader<S extends z.ZodMiniType<Record<string, unknown>>>(
	options: SharedDocumentOptions<S>,
): SharedDocument<z.output<S>> {
	const { path, empty, onProblem } = options;
	const name = basename(path);
	let signature: string | undefined;
	let value = empty();
	const report = reportOnce(onProblem);
	const refuse = async () => {
		throw new ReadOnlyError(name);
	};

	return {
		read: () => {
			const current = signatureOf(path);
			if (current === signature && current !== undefined) return value;
			const found = readNow(path);
			if ("why" in found) {
				// Keep the present value, and read the file again next time.
				if (!PASSING_CODES.has(codeOf(found.why) ?? "")) {
					report("unreadable", unreadableFor(name, found.why));
				}
				return value;
			}
			signature = found.bytes === undefined ? undefined : current;
			const loaded = found.bytes === undefined ? undefined : readDocument(found.bytes, options);
			value = loaded?.kind === "ok" ? loaded.value : empty();
			if (loaded?.kind === "newer") report("newer", newerThanUs(name));
			if (loaded?.kind === "corrupt") report("corrupt", `${name} is damaged and cannot be read.`);
			return value;
		},
		update: refuse,
		updateOrRollBack: refuse,
		updateDebounced: () => {
			throw new ReadOnlyError(name);
		},
		flush: async () => undefined,
	};
}

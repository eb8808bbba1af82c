import { z } from "zod";

/** A JSON object whose fields have not been checked. */
export type JsonRecord = Record<string, unknown>;

const jsonRecord = z.record(z.string(), z.unknown());

/** The text as a JSON object, or undefined when it is not one. */
export function parseJsonRecord(text: string): JsonRecord | undefined {
	try {
		return asRecord(JSON.parse(text));
	} catch (error) {
		if (error instanceof SyntaxError) return undefined;
		throw error;
	}
}

/** The value as a JSON object, or undefined when it is not one. */
export function asRecord(value: unknown): JsonRecord | undefined {
	const parsed = jsonRecord.safeParse(value);
	return parsed.success ? parsed.data : undefined;
}

/** The value when it is a string, else undefined. */
export function asString(value: unknown): string | undefined {
	return typeof value === "string" ? value : undefined;
}

import * as z from "zod/mini";
import { ACCOUNT_ID, type AccountId, type WorkspaceId } from "../core/ids.ts";

/** What can stand in a header: printable ASCII without blanks. */
export const HEADER_VALUE = /^[\x21-\x7e]+$/;

/** An account id in a file, which a person may have edited. */
export const accountIdSchema = z.custom<AccountId>((value) => typeof value === "string" && ACCOUNT_ID.test(value));

/** An account id where the row it belongs to is checked elsewhere. */
export const anyAccountIdSchema = z.custom<AccountId>((value) => typeof value === "string");

/** The id of a workspace, which must be able to stand in a header. */
export const workspaceIdSchema = z.custom<WorkspaceId>(
	(value) => typeof value === "string" && HEADER_VALUE.test(value),
);

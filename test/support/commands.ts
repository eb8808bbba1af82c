import { createCommandHarness } from "../unit/command-harness.ts";

const { withoutAWord, named } = createCommandHarness().commands;

/** Every subcommand of `/multicodex`, as the list of features has it. */
export const COMMANDS = named;

/** What `help` and the README list: the command without a word, and each subcommand. */
export const LISTED = [withoutAWord, ...named];

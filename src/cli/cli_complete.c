/* Completion is the option tables a third time. What can follow an option is read off its row: the
 * choices, or the metavar's own words, where FILE and DIR stand for what the shell knows itself. */
#include "cli/cli.h"

/* What a value can be. */
struct values {
    struct text words; /* with a space between */
    bool is_file, is_folder;
};

static void add_word(struct values *v, struct span word)
{
    if (v->words.len)
        text_add(&v->words, SPAN(" "));
    text_add(&v->words, word);
}

/* One alternative of a metavar: a word in small letters stands for itself. */
static void add_alternative(struct values *v, struct span word)
{
    static const char small[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    size_t literal = 0;
    while (literal < word.len && memchr(small, word.data[literal], sizeof small - 1))
        literal++;
    if (word.len && literal == word.len)
        add_word(v, word);
    v->is_file |= span_eq(word, SPAN("FILE"));
    v->is_folder |= span_eq(word, SPAN("DIR"));
    const char *dot = memchr(word.data, '.', word.len);
    v->is_file |= dot && dot > word.data && dot[1] != '.'; /* RESULT.json */
}

/* "auto|none|LIST", "[COMMAND]", "RESULT.json..." */
static void add_metavar(struct values *v, const char *metavar)
{
    while (*metavar) {
        struct span word = {metavar, strcspn(metavar, "|")};
        metavar += word.len + (metavar[word.len] == '|');
        while (word.len && strchr("[", *word.data))
            word.data++, word.len--;
        while (word.len && strchr(".]", word.data[word.len - 1]))
            word.len--;
        add_alternative(v, word);
    }
}

static struct values option_values(const struct option_row *row)
{
    struct values v = {0};
    for (const char *const *choice = row->choices; choice && *choice; choice++)
        add_word(&v, span_of(*choice));
    if (row->metavar)
        add_metavar(&v, row->metavar);
    return v;
}

static struct values argument_values(const struct command *c)
{
    struct values v = {0};
    add_metavar(&v, c->arguments);
    for (size_t i = 0; c->argument_word && c->argument_word(i); i++)
        add_word(&v, span_of(c->argument_word(i)));
    return v;
}

typedef void option_f(const struct command *c, const struct option_row *row, struct text *out);

static void each_option(const struct command *c, option_f *f, struct text *out)
{
    for (const struct option_table *table = c->options; table->rows; table++)
        for (const struct option_row *row = table->rows; row->name; row++)
            f(c, row, out);
}

/* Text within single quotes; `and` is escaped by a backslash as well. */
static void put_quoted(const char *text, const char *quote, const char *and, struct text *out)
{
    for (; *text; text++) {
        if (*text == '\'')
            text_addf(out, "%s", quote);
        else
            text_addf(out, "%s%c", strchr(and, *text) ? "\\" : "", *text);
    }
}

/* --- bash: a case for what stands before the cursor ----------------------------------------------- */

static void put_bash_names(const struct command *c, const struct option_row *row, struct text *out)
{
    (void)c;
    if (row->letter)
        text_addf(out, " -%c", row->letter);
    text_addf(out, " --%s", row->name);
    if (row->kind == OPTION_FLAG)
        text_addf(out, " --no-%s", row->name);
}

static void put_bash_answer(struct values *v, struct text *out)
{
    text_addf(out, ") words='%s' files=%s ;;\n", v->words.len ? v->words.data : "",
              v->is_file     ? "file"
              : v->is_folder ? "directory"
                             : "");
    text_free(&v->words);
}

static void put_bash_option(const struct command *c, const struct option_row *row, struct text *out)
{
    if (row->kind == OPTION_FLAG || row->is_value_optional)
        return;
    text_addf(out, "    %s:--%s", c->name, row->name);
    if (row->letter)
        text_addf(out, " | %s:-%c", c->name, row->letter);
    struct values v = option_values(row);
    put_bash_answer(&v, out);
}

static void put_bash_command(const struct command *c, struct text *out)
{
    each_option(c, put_bash_option, out);
    text_addf(out, "    %s:options) words='-h --help", c->name);
    each_option(c, put_bash_names, out);
    text_add(out, SPAN("' ;;\n"));
    text_addf(out, "    %s:arguments", c->name);
    struct values v = argument_values(c);
    put_bash_answer(&v, out);
}

static void put_bash(const struct command *const *commands, struct text *out)
{
    text_add(out, SPAN("# bash completion of iubench, made by `iubench completion bash`\n"
                       "_iubench_values() {\n    words='' files=''\n    case $1 in\n"));
    text_add(out, SPAN("    commands) words='--help --version help"));
    for (const struct command *const *c = commands; *c; c++)
        text_addf(out, " %s", (*c)->name);
    text_add(out, SPAN("' ;;\n"));
    for (const struct command *const *c = commands; *c; c++)
        put_bash_command(*c, out);
    text_add(out, SPAN("    *) return 1 ;;\n    esac\n}\n\n"));
    text_add(out,
             SPAN("# Bash has cut the words at \"=\" already.\n"
                  "_iubench() {\n"
                  "    local words files at=$((COMP_CWORD - 1)) word=${COMP_WORDS[COMP_CWORD]}\n"
                  "    [[ $word == '=' ]] && word=''\n"
                  "    [[ ${COMP_WORDS[at]} == '=' ]] && at=$((at - 1))\n"
                  "    if [[ $COMP_CWORD == 1 ]]; then\n"
                  "        _iubench_values commands\n"
                  "    elif ! _iubench_values \"${COMP_WORDS[1]}:${COMP_WORDS[at]}\"; then\n"
                  "        case $word in\n"
                  "        -*) _iubench_values \"${COMP_WORDS[1]}:options\" ;;\n"
                  "        *) _iubench_values \"${COMP_WORDS[1]}:arguments\" ;;\n"
                  "        esac\n"
                  "    fi\n"
                  "    mapfile -t COMPREPLY < <(compgen -W \"$words\" ${files:+-A \"$files\"} "
                  "-- \"$word\")\n"
                  "    [[ $files ]] && compopt -o filenames 2>/dev/null\n"
                  "    return 0\n"
                  "}\n"
                  "complete -F _iubench iubench\n"));
}

/* --- zsh: _arguments with a specification for each option ------------------------------------------- */

#define ZSH_QUOTE   "'\\''"
#define ZSH_SPECIAL "[]:\\"

static void put_zsh_action(struct values *v, struct text *out)
{
    if (v->words.len && v->is_file)
        text_addf(out, "{compadd %s; _files}", v->words.data);
    else if (v->words.len)
        text_addf(out, "(%s)", v->words.data);
    else if (v->is_file)
        text_add(out, SPAN("_files"));
    else if (v->is_folder)
        text_add(out, SPAN("_files -/"));
    else
        text_add(out, SPAN(" "));
    text_free(&v->words);
}

/* "[help]", and for what takes a value ":metavar:action"; two colons if it may be left out. */
static void put_zsh_rest(const struct option_row *row, struct text *out)
{
    text_add(out, SPAN("["));
    put_quoted(row->help, ZSH_QUOTE, ZSH_SPECIAL, out);
    text_add(out, SPAN("]"));
    if (row->kind != OPTION_FLAG) {
        struct values v = option_values(row);
        text_add(out, row->is_value_optional ? SPAN("::") : SPAN(":"));
        put_quoted(row->metavar ? row->metavar : row->name, ZSH_QUOTE, ZSH_SPECIAL, out);
        text_add(out, SPAN(":"));
        put_zsh_action(&v, out);
    }
    text_add(out, SPAN("'"));
}

static void put_zsh_option(const struct command *c, const struct option_row *row, struct text *out)
{
    (void)c;
    const char *several = row->kind == OPTION_TEXTS ? "*" : "";
    bool is_flag = row->kind == OPTION_FLAG;
    text_addf(out, " \\\n            '%s--%s%s", several, row->name, is_flag ? "" : "=");
    put_zsh_rest(row, out);
    if (row->letter) {
        text_addf(out, " \\\n            '%s-%c%s", several, row->letter, is_flag ? "" : "+");
        put_zsh_rest(row, out);
    }
    if (is_flag) {
        text_addf(out, " \\\n            '--no-%s", row->name);
        put_zsh_rest(row, out);
    }
}

static void put_zsh_command(const struct command *c, struct text *out)
{
    text_addf(out, "    %s)\n        _arguments -s '(- *)'{-h,--help}'[show help]'", c->name);
    each_option(c, put_zsh_option, out);
    if (*c->arguments) {
        struct values v = argument_values(c);
        text_add(out, SPAN(" \\\n            '*:"));
        put_quoted(c->arguments, ZSH_QUOTE, ZSH_SPECIAL, out);
        text_add(out, SPAN(":"));
        put_zsh_action(&v, out);
        text_add(out, SPAN("'"));
    }
    text_add(out, SPAN(" ;;\n"));
}

static void put_zsh(const struct command *const *commands, struct text *out)
{
    text_add(out, SPAN("#compdef iubench\n"
                       "# zsh completion of iubench, made by `iubench completion zsh`\n"
                       "local -a commands=(\n"));
    for (const struct command *const *c = commands; *c; c++) {
        text_addf(out, "    '%s:", (*c)->name);
        put_quoted((*c)->summary, ZSH_QUOTE, ":\\", out);
        text_add(out, SPAN("'\n"));
    }
    text_add(out, SPAN(")\n"
                       "if ((CURRENT == 2)); then\n"
                       "    _describe command commands\n"
                       "    _arguments '--help[list the commands]' '--version[print the version]'\n"
                       "    return\n"
                       "fi\n"
                       "shift words\n"
                       "((CURRENT--))\n"
                       "case $words[1] in\n"));
    for (const struct command *const *c = commands; *c; c++)
        put_zsh_command(*c, out);
    text_add(out, SPAN("esac\n"));
}

/* --- fish: a line for each option ------------------------------------------------------------------- */

#define FISH_QUOTE "\\'"

static void put_fish_values(struct values *v, struct text *out)
{
    if (v->words.len)
        text_addf(out, " -a '%s'", v->words.data);
    if (v->is_folder)
        text_add(out, SPAN(" -a '(__fish_complete_directories)'"));
    text_add(out, v->is_file ? SPAN(" -F") : SPAN(" -f"));
    text_free(&v->words);
}

static void put_fish_help(const char *help, struct text *out)
{
    text_add(out, SPAN(" -d '"));
    put_quoted(help, FISH_QUOTE, "\\", out);
    text_add(out, SPAN("'\n"));
}

static void put_fish_option(const struct command *c, const struct option_row *row, struct text *out)
{
    text_addf(out, "complete -c iubench -n '__iubench_is %s' -l %s", c->name, row->name);
    if (row->letter)
        text_addf(out, " -s %c", row->letter);
    if (row->kind != OPTION_FLAG) {
        struct values v = option_values(row);
        if (!row->is_value_optional)
            text_add(out, SPAN(" -r"));
        put_fish_values(&v, out);
    }
    put_fish_help(row->help, out);
    if (row->kind == OPTION_FLAG) {
        text_addf(out, "complete -c iubench -n '__iubench_is %s' -l no-%s", c->name, row->name);
        put_fish_help(row->help, out);
    }
}

static void put_fish_command(const struct command *c, struct text *out)
{
    text_addf(out, "complete -c iubench -n __iubench_is_first -a %s", c->name);
    put_fish_help(c->summary, out);
    text_addf(out, "complete -c iubench -n '__iubench_is %s' -s h -l help", c->name);
    put_fish_help("show help", out);
    each_option(c, put_fish_option, out);
    struct values v = argument_values(c);
    if (v.words.len || v.is_file || v.is_folder) {
        text_addf(out, "complete -c iubench -n '__iubench_is %s'", c->name);
        put_fish_values(&v, out);
        text_add(out, SPAN("\n"));
    }
}

static void put_fish(const struct command *const *commands, struct text *out)
{
    text_add(out, SPAN("# fish completion of iubench, made by `iubench completion fish`\n"
                       "function __iubench_is_first\n"
                       "    test (count (commandline -opc)) -eq 1\n"
                       "end\n"
                       "function __iubench_is\n"
                       "    set -l words (commandline -opc)\n"
                       "    test (count $words) -ge 2; and test $words[2] = $argv[1]\n"
                       "end\n"
                       "complete -c iubench -f\n"
                       "complete -c iubench -n __iubench_is_first -l help -s h -d 'list the "
                       "commands'\n"
                       "complete -c iubench -n __iubench_is_first -l version -s V -d 'print the "
                       "version'\n"));
    for (; *commands; commands++)
        put_fish_command(*commands, out);
}

const char *const cli_shells[] = {"bash", "zsh", "fish", NULL};

void cli_completion(const struct command *const *commands, const char *shell, struct text *out)
{
    if (!strcmp(shell, "bash"))
        put_bash(commands, out);
    else if (!strcmp(shell, "zsh"))
        put_zsh(commands, out);
    else
        put_fish(commands, out);
}

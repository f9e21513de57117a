"""Makes a C text of a file, for programs that carry it with them: embed.py SOURCE NAME HEADER OUT."""
import sys


def quoted(text):
    return '"%s"' % text.replace('\\', '\\\\').replace('"', '\\"').replace('\t', '\\t').replace('\n', '\\n').replace('??', '?\\?')


def main():
    source, name, header, out = sys.argv[1:]
    with open(source, encoding='utf-8') as file:
        lines = file.read().splitlines(True)
    with open(out, 'w', encoding='utf-8') as file:
        file.write('/* %s, as it stands in the tree: made by embed.py. */\n#include "%s"\n\nconst char %s[] =\n' % (source.split('/')[-1], header, name))
        for line in lines:
            file.write('    %s\n' % quoted(line))
        file.write('    "";\n')


if __name__ == '__main__':
    main()

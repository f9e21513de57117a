"""Reads result.h5 with h5py alone: python3 docs/read_result.py out/result.h5. In pandas a table is pandas.DataFrame(table[:])."""
import json
import sys

import h5py

NO_SUM = ('layer', 'request', 'index', 'start', 'end', 'first')  # columns that say which and when, not how much
with h5py.File(sys.argv[1], 'r') as file:
    summary, config = (json.loads(file[key][:].tobytes()) for key in ('summary', 'config/resolved'))
    print('run', summary['name'], json.dumps({'cache': summary.get('cache'), 'time': summary['time']}))
    print('config', json.dumps(config))
    for group in ('tables', 'attribution'):
        for table in file.get(group, {}).values():
            rows = table[:]
            sums = {name: int(rows[name].sum()) for name in rows.dtype.names if not name.startswith(NO_SUM)}
            units = {name: table.attrs[name + '.units'].decode() for name in sums}
            print('table', table.name, len(rows), 'rows', json.dumps(sums), 'in', json.dumps(units))
    for hist in file.get('hist', {}).values():
        print('hist', hist.name, hist.attrs['units'].decode(), json.dumps([row.tolist() for row in hist[:]]))
